mock_provider "aws" {}

variables {
  name = "quartermaster"
  issuers = {
    us-east-1 = { arn = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/A", host = "oidc.eks.us-east-1.amazonaws.com/id/A" }
  }
  buckets = {
    for purpose in ["registry", "usage", "audit", "prompts"] : purpose => {
      us-east-1 = { arn = "arn:aws:s3:::example-${purpose}", key_arn = "arn:aws:kms:us-east-1:111122223333:key/${purpose}" }
    }
  }
  databases        = ["arn:aws:rds-db:us-east-1:111122223333:dbuser:cluster-A"]
  bills_bucket_arn = "arn:aws:s3:::example-bills"
}

run "lets_only_the_sealer_write_the_anchor_and_nobody_take_it_away" {
  assert {
    condition = [
      for process, policy in output.policies : process
      if anytrue([
        for statement in jsondecode(policy).Statement :
        contains(flatten([statement.Action]), "s3:PutObject") && contains(flatten([statement.Resource]), "arn:aws:s3:::example-audit/*")
      ])
    ] == ["sealer"]
    error_message = "Others than the sealer write the audit record's anchor."
  }

  assert {
    condition = !anytrue(flatten([
      for policy in output.policies : [
        for statement in jsondecode(policy).Statement :
        contains(flatten([statement.Resource]), "arn:aws:s3:::example-audit/*")
        && anytrue([for action in flatten([statement.Action]) : startswith(action, "s3:Delete")])
      ]
    ]))
    error_message = "Somebody may take checkpoints away."
  }
}

run "lets_only_the_worker_remove_prompts_for_good" {
  assert {
    condition = [
      for process, policy in output.policies : process
      if anytrue([for statement in jsondecode(policy).Statement : contains(flatten([statement.Action]), "s3:DeleteObjectVersion")])
    ] == ["worker"]
    error_message = "Others than the worker remove versions of objects."
  }
}

run "lets_processes_that_read_no_bucket_read_none" {
  assert {
    condition = alltrue(flatten([
      for process in ["beat", "observer", "scraper", "follower", "migrations", "gate"] : [
        for statement in jsondecode(output.policies[process]).Statement : statement.Action == ["rds-db:connect"]
      ]
    ]))
    error_message = "A process that needs its database alone may do more."
  }
}

run "lets_only_migrations_be_the_owner_of_the_tables" {
  assert {
    condition = {
      for process, policy in output.policies : process => jsondecode(policy).Statement[0].Resource[0]
      if jsondecode(policy).Statement[0].Resource[0] != "arn:aws:rds-db:us-east-1:111122223333:dbuser:cluster-A/portal"
    } == { migrations = "arn:aws:rds-db:us-east-1:111122223333:dbuser:cluster-A/owner" }
    error_message = "A process is another user of the database than it should be."
  }
}

run "decrypts_through_its_buckets_only" {
  assert {
    condition = alltrue(flatten([
      for policy in output.policies : [
        for statement in jsondecode(policy).Statement :
        can(statement.Condition.StringEquals["kms:EncryptionContext:aws:s3:arn"])
        if anytrue([for action in flatten([statement.Action]) : startswith(action, "kms:")])
      ]
    ]))
    error_message = "A process may decrypt more than its buckets' objects."
  }
}

run "stays_within_what_iam_takes_with_two_regions" {
  variables {
    buckets = {
      for purpose in ["registry", "usage", "audit", "prompts"] : purpose => {
        for region in ["us-east-1", "us-west-2"] : region => {
          arn     = "arn:aws:s3:::a-name-of-21-letters-111122223333-${region}-${purpose}"
          key_arn = "arn:aws:kms:${region}:111122223333:key/11111111-2222-3333-4444-555555555555"
        }
      }
    }
  }

  assert {
    condition     = max([for policy in output.policies : length(policy)]...) < 8000
    error_message = "The largest policy has little room left: IAM takes 10,240 characters."
  }
}

run "allows_everything_of_a_kind_only_where_aws_knows_no_less" {
  assert {
    condition = alltrue(flatten([
      for policy in output.policies : [
        for statement in jsondecode(policy).Statement :
        statement.Resource != "*" || alltrue([for action in statement.Action : can(regex(":(Describe|Get|List)", action))])
      ]
    ]))
    error_message = "Something else than looking is allowed everywhere."
  }
}
