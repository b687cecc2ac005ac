"""Groups of roles, one for each thing that several roles may do: no app spells them out again.

A group says what its people may see or do whatever their team is. What hangs on the team or the
model beside it (owning the model, having asked) stays with the rule that asks for it. Two groups
of the same roles are two groups: one may change without the other.
"""

from apps.accounts.models import Role

EVERYBODY = tuple(Role.values)

# -- Work ------------------------------------------------------------------------------------------
# their team calls models, so its month and its grants are theirs to watch
USES_MODELS = (Role.TEAM_LEAD, Role.DEVELOPER, Role.MODEL_OWNER)
# ask for a model in the name of their team
ASKS_FOR_MODELS = (Role.TEAM_LEAD, Role.MODEL_OWNER)
# pause, resume, retry, abort and roll back any rollout; owners of the model steer its own
STEERS_ROLLOUTS = (Role.REVIEWER, Role.PLATFORM_ENGINEER)
# are told of what failed: owners of their own models, platform engineers of all
MENDS_MODELS = (Role.MODEL_OWNER, Role.PLATFORM_ENGINEER)
# say what a contract for machines costs
SETS_MACHINE_PRICES = (Role.FINANCE,)
# decide about a change of capacity that somebody else asked for
DECIDES_CAPACITY = (Role.PLATFORM_ENGINEER, Role.REVIEWER)
# try again, or leave out, usage that was received and is not counted
MENDS_USAGE = (Role.PLATFORM_ENGINEER, Role.FINANCE)
# set and end budgets, and decide about changes of them that somebody else asked for; owners of a
# model those of a team for it
SETS_COST_CENTER_BUDGETS = (Role.FINANCE, Role.PLATFORM_ENGINEER)
SETS_TEAM_BUDGETS = (Role.FINANCE,)

# -- Oversight -------------------------------------------------------------------------------------
# see what every team asked for, was granted and called
SEES_EVERY_TEAM = (Role.PLATFORM_ENGINEER, Role.FINANCE, Role.AUDITOR)
# see what every team spends
SEES_ALL_MONEY = (Role.PLATFORM_ENGINEER, Role.FINANCE, Role.AUDITOR)
# see nodes, claims, replicas and their costs
SEES_FLEET = (Role.PLATFORM_ENGINEER, Role.FINANCE, Role.AUDITOR)
# see what pools may buy and who asked to change it: those who decide, and those who oversee
SEES_CAPACITY = (*DECIDES_CAPACITY, Role.FINANCE, Role.AUDITOR)
# look after the models of all teams on their home page
SEES_EVERY_MODEL = (Role.PLATFORM_ENGINEER, Role.REVIEWER, Role.AUDITOR)
# read the audit record
OVERSEES_RECORD = (Role.PLATFORM_ENGINEER, Role.AUDITOR)
