mock_provider "aws" {
  alias = "home"

  mock_resource "aws_eks_cluster" {
    defaults = { identity = [{ oidc = [{ issuer = "https://oidc.eks.us-east-1.amazonaws.com/id/A" }] }] }
  }
}

mock_provider "aws" {
  alias = "standby"

  mock_resource "aws_eks_cluster" {
    defaults = { identity = [{ oidc = [{ issuer = "https://oidc.eks.us-west-2.amazonaws.com/id/B" }] }] }
  }
}

variables {
  account_id         = "111122223333"
  gitops             = "../../checking/gitops" # what the portal writes, byte for byte
  administrator_arns = ["arn:aws:iam::111122223333:role/platform"]
  owner_password     = "only-in-this-test"
  cache_passwords    = { portal = "sixteen-letters-1", ratelimit = "sixteen-letters-2" }
}

run "gives_a_role_to_each_model_that_lies_in_git" {
  assert {
    condition     = keys(output.platform.reader_role_arns) == ["claims-summary", "prior-auth-extract"]
    error_message = "A model that lies in Git has no role, or there is one for another."
  }
}
