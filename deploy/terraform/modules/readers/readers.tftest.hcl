mock_provider "aws" {}

variables {
  name   = "quartermaster"
  models = ["claims-summary", "prior-auth-extract"]
  issuers = {
    us-east-1 = { arn = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/A", host = "oidc.eks.us-east-1.amazonaws.com/id/A" }
    us-west-2 = { arn = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.us-west-2.amazonaws.com/id/B", host = "oidc.eks.us-west-2.amazonaws.com/id/B" }
  }
  buckets = {
    us-east-1 = { arn = "arn:aws:s3:::example-registry", key_arn = "arn:aws:kms:us-east-1:111122223333:key/registry" }
    us-west-2 = { arn = "arn:aws:s3:::example-registry-2", key_arn = "arn:aws:kms:us-west-2:111122223333:key/registry" }
  }
}

run "reads_one_models_prefix_and_no_other" {
  assert {
    condition = toset(flatten([
      for statement in jsondecode(output.policies["claims-summary"]).Statement : statement.Resource
      if contains(statement.Action, "s3:GetObject")
    ])) == toset(["arn:aws:s3:::example-registry/claims-summary/*", "arn:aws:s3:::example-registry-2/claims-summary/*"])
    error_message = "The role of claims-summary reads more than its own prefix."
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(output.policies["claims-summary"]).Statement :
      statement.Condition.StringLike["s3:prefix"] == ["claims-summary/*"]
      if contains(statement.Action, "s3:ListBucket")
    ])
    error_message = "The role of claims-summary lists what is not its own."
  }

  assert {
    condition = toset(flatten([
      for policy in output.policies : [for statement in jsondecode(policy).Statement : statement.Action]
    ])) == toset(["s3:ListBucket", "s3:GetObject", "s3:GetObjectVersion", "kms:Decrypt"])
    error_message = "A reader does more than read."
  }

  assert {
    condition = alltrue(flatten([
      for policy in output.policies : [for statement in jsondecode(policy).Statement : [
        for resource in statement.Resource : resource != "*" && !endswith(resource, ":*")
      ]]
    ]))
    error_message = "A reader's role has a resource that is everything."
  }
}

run "decrypts_through_the_registrys_bucket_only" {
  assert {
    condition = alltrue([
      for statement in jsondecode(output.policies["prior-auth-extract"]).Statement :
      statement.Condition.StringEquals["kms:EncryptionContext:aws:s3:arn"] == "arn:aws:s3:::example-registry"
      && statement.Condition.StringEquals["kms:ViaService"] == "s3.us-east-1.amazonaws.com"
      if contains(statement.Action, "kms:Decrypt") && contains(statement.Resource, "arn:aws:kms:us-east-1:111122223333:key/registry")
    ])
    error_message = "The key decrypts something else than the registry's objects."
  }
}

run "is_taken_by_that_models_service_accounts_only" {
  assert {
    condition = jsondecode(output.trusts["claims-summary"]).Statement[0].Condition.StringEquals == {
      "oidc.eks.us-east-1.amazonaws.com/id/A:aud" = "sts.amazonaws.com"
      "oidc.eks.us-east-1.amazonaws.com/id/A:sub" = [
        "system:serviceaccount:models:reader-claims-summary", "system:serviceaccount:evals:reader-claims-summary",
      ]
    }
    error_message = "Another pod may take the role of claims-summary."
  }

  assert {
    condition     = keys(output.role_arns) == ["claims-summary", "prior-auth-extract"]
    error_message = "A model of the list has no role, or there is one for another."
  }
}

run "takes_no_role_away_because_of_a_wrong_folder" {
  command         = plan
  expect_failures = [var.models]

  variables {
    models = []
  }
}

run "begins_without_models_where_that_is_said" {
  variables {
    models   = []
    none_yet = true
  }

  assert {
    condition     = length(output.role_arns) == 0
    error_message = "There is a role for no model."
  }
}

run "refuses_a_model_that_is_a_pattern" {
  command         = plan
  expect_failures = [var.models]

  variables {
    models = ["*"]
  }
}
