"""Settings: none stands there that nobody reads."""

import ast
import re
from pathlib import Path

from django.conf import global_settings, settings

READ_BY_LIBRARIES = (
    "CELERY_", "CONTENT_SECURITY_POLICY", "MESSAGE_TAGS", "OIDC_PKCE_", "OIDC_RP_SCOPES",
    "OIDC_USE_PKCE", "REST_FRAMEWORK", "ROOT_URLCONF", "SPECTACULAR_SETTINGS", "WHITENOISE_",
)  # fmt: skip
CODE = ("apps", "portal", "worker")


def test_every_setting_is_read():
    tree = ast.parse((settings.BASE_DIR / "portal" / "settings.py").read_text())
    names = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id.isupper()
    }
    files = [path for part in CODE for path in Path(settings.BASE_DIR / part).rglob("*.py")]
    read = {
        name for path in files for name in re.findall(r"\bsettings\.([A-Z0-9_]+)", path.read_text())
    }
    inside = (settings.BASE_DIR / "portal" / "settings.py").read_text()
    unread = {
        name
        for name in names - read
        if not hasattr(global_settings, name)
        and not name.startswith(READ_BY_LIBRARIES)
        and len(re.findall(rf"\b{name}\b", inside)) < 2
    }
    assert unread == set()
    assert {"GATEWAY_URL", "REDIS_URL", "ROLLOUT_STEPS"} <= names
