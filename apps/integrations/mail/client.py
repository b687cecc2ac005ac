"""E-mail over SMTP, by Django's own mail. One message to one person at a time."""

from collections.abc import Mapping
from smtplib import SMTPException, SMTPRecipientsRefused, SMTPResponseException

from django.conf import settings
from django.core.mail import EmailMessage, get_connection

from apps.integrations.errors import PermanentError, TemporaryError

NAME = "The mail server"
TRY_AGAIN = range(400, 500)  # what a server that cannot take it now answers (RFC 5321)


class NotConfigured(PermanentError):
    """There is no mail server here."""


class MailClient:
    """Sends from one address. is_configured: whether there is a mail server at all."""

    def __init__(self, *, sender: str, is_configured: bool) -> None:
        self._sender, self._is_configured = sender, is_configured

    def send(self, *, to: str, subject: str, text: str, headers: Mapping[str, str]) -> None:
        """Send one message. Raises NotConfigured; TemporaryError where the server is away or
        busy; PermanentError where it does not take this one.
        """
        if not self._is_configured:
            raise NotConfigured("E-mail is not configured here.")
        message = EmailMessage(
            subject=subject,
            body=text,
            from_email=self._sender,
            to=[to],
            headers=dict(headers),
            connection=get_connection(),
        )
        try:
            message.send()
        except SMTPRecipientsRefused as error:
            raise _refused(max(code for code, _ in error.recipients.values())) from None
        except SMTPResponseException as error:
            raise _refused(error.smtp_code) from None
        except (SMTPException, OSError):
            raise TemporaryError(f"{NAME} cannot be reached.") from None
        except (ValueError, AttributeError):  # the second: what Python's parser makes of "jo@[1"
            raise PermanentError("The address that the sign-in tells is none for e-mail.") from None


def _refused(code: int) -> TemporaryError | PermanentError:
    """Return what an answer's code means. What the server said stays out: it may repeat the
    message.
    """
    if code in TRY_AGAIN or code < 0:
        return TemporaryError(f"{NAME} cannot take it now ({code}).")
    return PermanentError(f"{NAME} does not take it ({code}).")


def client_from_settings() -> MailClient:
    """Return the client of the configured mail server."""
    return MailClient(sender=settings.DEFAULT_FROM_EMAIL, is_configured=bool(settings.EMAIL_HOST))
