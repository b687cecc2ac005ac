mock_provider "aws" {}

variables {
  name       = "quartermaster"
  account_id = "111122223333"
  region     = "us-east-1"
  keys = {
    registry = { description = "models" }
    logs     = { description = "logs", used_by = ["logs"] }
  }
}

run "rotates_each_key_and_keeps_it_in_this_account" {
  assert {
    condition     = alltrue([for key in aws_kms_key.this : key.enable_key_rotation && key.deletion_window_in_days == 30])
    error_message = "A key does not rotate, or is gone before anybody can notice."
  }

  assert {
    condition = alltrue(flatten([
      for key in aws_kms_key.this : [
        for statement in jsondecode(key.policy).Statement :
        statement.Principal != "*" && (!can(statement.Principal.AWS) || statement.Principal.AWS == "arn:aws:iam::111122223333:root")
      ]
    ]))
    error_message = "Somebody outside this account may use a key."
  }
}

run "lets_a_service_use_only_its_own_key_and_only_for_us" {
  assert {
    condition     = length(jsondecode(aws_kms_key.this["registry"].policy).Statement) == 1
    error_message = "A service of AWS may use the key of models by itself."
  }

  assert {
    condition = (
      jsondecode(aws_kms_key.this["logs"].policy).Statement[1].Condition.ArnLike["kms:EncryptionContext:aws:logs:arn"]
      == "arn:aws:logs:us-east-1:111122223333:log-group:*"
    )
    error_message = "Another account's logs may be encrypted by our key."
  }
}

run "refuses_a_service_that_is_none" {
  command         = plan
  expect_failures = [var.keys]

  variables {
    keys = { registry = { description = "models", used_by = ["s3"] } }
  }
}
