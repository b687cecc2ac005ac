mock_provider "aws" {}

variables {
  name        = "quartermaster-web"
  description = "The portal's web server."
  issuers = {
    us-east-1 = { arn = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/A", host = "oidc.eks.us-east-1.amazonaws.com/id/A" }
    us-west-2 = { arn = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.us-west-2.amazonaws.com/id/B", host = "oidc.eks.us-west-2.amazonaws.com/id/B" }
  }
  accounts = ["quartermaster:portal"]
  policy   = "{\"Statement\": [{\"Effect\": \"Allow\", \"Action\": [\"s3:GetObject\"], \"Resource\": [\"arn:aws:s3:::a/b\"]}]}"
}

run "trusts_by_subject_and_audience_in_both_clusters" {
  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role.this.assume_role_policy).Statement :
      statement.Action == "sts:AssumeRoleWithWebIdentity" && keys(statement.Condition) == ["StringEquals"]
    ])
    error_message = "The role can be taken without an exact match of a token's claims."
  }

  assert {
    condition = jsondecode(aws_iam_role.this.assume_role_policy).Statement[1].Condition.StringEquals == {
      "oidc.eks.us-west-2.amazonaws.com/id/B:aud" = "sts.amazonaws.com"
      "oidc.eks.us-west-2.amazonaws.com/id/B:sub" = ["system:serviceaccount:quartermaster:portal"]
    }
    error_message = "A token of the second cluster is not held to its subject and audience."
  }

  assert {
    condition     = length(jsondecode(aws_iam_role.this.assume_role_policy).Statement) == 2
    error_message = "Each cluster's issuer is trusted by a statement of its own, and nobody else is."
  }
}

run "refuses_a_pattern_of_accounts" {
  command         = plan
  expect_failures = [var.accounts]

  variables {
    accounts = ["models:*"]
  }
}

run "refuses_no_account_at_all" {
  command         = plan
  expect_failures = [var.accounts]

  variables {
    accounts = []
  }
}

run "refuses_more_than_iam_takes" {
  command         = plan
  expect_failures = [var.policy]

  variables {
    policy = jsonencode({ Statement = [for n in range(200) : { Effect = "Allow", Action = ["s3:GetObject"], Resource = "arn:aws:s3:::a/${n}" }] })
  }
}

run "refuses_a_pattern_of_actions" {
  command         = plan
  expect_failures = [var.policy]

  variables {
    policy = "{\"Statement\": [{\"Effect\": \"Allow\", \"Action\": \"s3:*\", \"Resource\": \"*\"}]}"
  }
}
