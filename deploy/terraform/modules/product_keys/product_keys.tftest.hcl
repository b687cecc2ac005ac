mock_provider "aws" {
  alias = "home"
}

mock_provider "aws" {
  alias = "standby"
}

variables {
  name       = "quartermaster"
  account_id = "111122223333"
  roles = {
    web      = "arn:aws:iam::111122223333:role/quartermaster-web"
    gate     = "arn:aws:iam::111122223333:role/quartermaster-gate"
    registry = "arn:aws:iam::111122223333:role/quartermaster-registry"
    sealer   = "arn:aws:iam::111122223333:role/quartermaster-sealer"
  }
}

run "lets_nobody_sign_or_unwrap_by_a_policy_of_iam_alone" {
  assert {
    condition = alltrue(flatten([
      for key in aws_kms_key.home : [
        for action in jsondecode(key.policy).Statement[0].Action :
        !contains(["kms:Sign", "kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:CreateGrant"], action)
        && !strcontains(action, "*")
      ]
    ]))
    error_message = "Whoever administers this account may use the product's keys."
  }

  assert {
    condition = [
      for statement in slice(jsondecode(aws_kms_key.home["prompt-record"].policy).Statement, 1, 3) :
      "${statement.Principal.AWS[0]} ${join(" ", statement.Action)}"
      ] == [
      "arn:aws:iam::111122223333:role/quartermaster-gate kms:Decrypt kms:GenerateDataKey",
      "arn:aws:iam::111122223333:role/quartermaster-web kms:Decrypt",
    ]
    error_message = "Others than the gate and the web server read prompts, or the web server does more."
  }

  assert {
    condition = (
      jsondecode(aws_kms_key.home["audit-record"].policy).Statement[1].Principal.AWS
      == [var.roles.sealer] && length(jsondecode(aws_kms_key.home["audit-record"].policy).Statement) == 2
    )
    error_message = "Others than the sealer sign the audit record."
  }
}

run "has_the_same_keys_in_the_second_region" {
  assert {
    condition = alltrue([
      for name, key in aws_kms_key.home :
      key.multi_region && aws_kms_replica_key.standby[name].policy == key.policy
    ])
    error_message = "What was signed or wrapped in one region is not verified or read in the other by the same rules."
  }

  assert {
    condition     = { for name, alias in aws_kms_alias.standby : name => alias.name } == output.aliases
    error_message = "The keys have other names in the second region."
  }

  assert {
    condition = (
      aws_kms_key.home["model-registry"].customer_master_key_spec == "ECC_NIST_P256"
      && aws_kms_key.home["model-registry"].key_usage == "SIGN_VERIFY"
      && aws_kms_key.home["prompt-record"].enable_key_rotation
    )
    error_message = "A key is not of the kind that the product asks for."
  }
}
