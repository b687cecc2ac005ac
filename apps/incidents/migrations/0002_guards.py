"""An episode that is over stays so, keeps the incident it was given, and a note never changes but for when it was sent."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER episode_steps BEFORE UPDATE ON incidents_episode
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps('OPEN>CLOSED');
CREATE TRIGGER episode_closed_once BEFORE UPDATE ON incidents_episode
    FOR EACH ROW WHEN (
        OLD.status = 'CLOSED'
        AND ROW(OLD.words, OLD.opened_at, OLD.closed_at) IS DISTINCT FROM ROW(NEW.words, NEW.opened_at, NEW.closed_at))
    EXECUTE FUNCTION refused('an episode that is over never changes');
CREATE TRIGGER episode_incident_once BEFORE UPDATE ON incidents_episode
    FOR EACH ROW WHEN (
        (OLD.number <> '' AND ROW(OLD.number, OLD.sys_id) IS DISTINCT FROM ROW(NEW.number, NEW.sys_id))
        OR (OLD.report <> '' AND OLD.report IS DISTINCT FROM NEW.report))
    EXECUTE FUNCTION refused('the incident of an episode never changes');
CREATE TRIGGER episode_stays BEFORE DELETE ON incidents_episode
    FOR EACH ROW EXECUTE FUNCTION refused('an episode stays');
CREATE TRIGGER episode_note_sent_once BEFORE UPDATE ON incidents_episodenote
    FOR EACH ROW WHEN (OLD.sent_at IS NOT NULL AND OLD IS DISTINCT FROM NEW)
    EXECUTE FUNCTION refused('a note that was sent never changes');
CREATE TRIGGER episode_note_words BEFORE UPDATE ON incidents_episodenote
    FOR EACH ROW WHEN (
        ROW(OLD.episode_id, OLD.number, OLD.noted_at, OLD.words)
            IS DISTINCT FROM ROW(NEW.episode_id, NEW.number, NEW.noted_at, NEW.words))
    EXECUTE FUNCTION refused('a note never changes');
"""
BACKWARD = """
DROP TRIGGER episode_steps ON incidents_episode;
DROP TRIGGER episode_closed_once ON incidents_episode;
DROP TRIGGER episode_incident_once ON incidents_episode;
DROP TRIGGER episode_stays ON incidents_episode;
DROP TRIGGER episode_note_sent_once ON incidents_episodenote;
DROP TRIGGER episode_note_words ON incidents_episodenote;
"""


class Migration(migrations.Migration):
    dependencies = [("incidents", "0001_initial"), ("audit", "0005_guards")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
