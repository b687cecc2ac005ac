mock_provider "aws" {
  alias = "home"

  mock_resource "aws_eks_cluster" {
    defaults = { identity = [{ oidc = [{ issuer = "https://oidc.eks.us-east-1.amazonaws.com/id/A" }] }] }
  }

  mock_resource "aws_iam_openid_connect_provider" {
    defaults = { arn = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/A" }
  }

  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:us-east-1:111122223333:key/A" }
  }

  mock_resource "aws_rds_cluster" {
    defaults = { cluster_resource_id = "cluster-A" }
  }
}

mock_provider "aws" {
  alias = "standby"

  mock_resource "aws_eks_cluster" {
    defaults = { identity = [{ oidc = [{ issuer = "https://oidc.eks.us-west-2.amazonaws.com/id/B" }] }] }
  }

  mock_resource "aws_iam_openid_connect_provider" {
    defaults = { arn = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.us-west-2.amazonaws.com/id/B" }
  }

  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:us-west-2:111122223333:key/B" }
  }

  mock_resource "aws_rds_cluster" {
    defaults = { cluster_resource_id = "cluster-B" }
  }
}

variables {
  account_id         = "111122223333"
  kubernetes_version = "1.35"
  postgres_version   = "17.7"
  valkey_version     = "8.2"
  administrator_arns = ["arn:aws:iam::111122223333:role/platform"]
  owner_password     = "only-in-this-test"
  cache_passwords    = { portal = "sixteen-letters-1", ratelimit = "sixteen-letters-2" }
  models             = ["claims-summary", "prior-auth-extract"]
  product_keys       = true

  home = {
    region = "us-east-1"
    cidr   = "10.20.0.0/16"
    zones  = ["us-east-1a", "us-east-1b"]
    vcpus  = { g_on_demand = 384 }
  }

  standby = {
    region = "us-west-2"
    cidr   = "10.21.0.0/16"
    zones  = ["us-west-2a", "us-west-2b"]
    vcpus  = { g_on_demand = 384 }
  }
}

run "is_whole_in_both_regions" {
  assert {
    condition     = keys(output.chart) == ["us-east-1", "us-west-2"]
    error_message = "A region is missing."
  }

  assert {
    condition     = output.chart["us-west-2"].variables.REGISTRY_BUCKET == "quartermaster-111122223333-us-west-2-registry"
    error_message = "The second region has not its own registry's bucket."
  }

  assert {
    condition     = toset(values(output.chart["us-east-1"].variables)) != toset(values(output.chart["us-west-2"].variables))
    error_message = "Both regions use the same buckets."
  }

  assert {
    condition = toset(concat(
      [for each in module.copies_there : each.copies], [for each in module.copies_back : each.copies],
      )) == toset(flatten([
        for purpose in ["registry", "usage", "audit", "prompts"] : [
          "quartermaster-111122223333-us-east-1-${purpose} to quartermaster-111122223333-us-west-2-${purpose}",
          "quartermaster-111122223333-us-west-2-${purpose} to quartermaster-111122223333-us-east-1-${purpose}",
        ]
    ]))
    error_message = "A bucket is not copied to the other region and back."
  }
}

run "gives_each_model_of_the_list_its_role_by_the_portals_rule" {
  assert {
    condition     = keys(output.reader_role_arns) == ["claims-summary", "prior-auth-extract"]
    error_message = "A model of the list has no role, or there is one for another."
  }

  assert {
    condition = alltrue([
      for region, told in output.chart :
      told.variables.REGISTRY_READER_ROLE_ARN == "arn:aws:iam::111122223333:role/quartermaster-reads-{model}"
    ])
    error_message = "The portal would name another role than there is, or another one in each region: Git is the same for both."
  }

  assert {
    condition = [
      for statement in jsondecode(module.readers.trusts["claims-summary"]).Statement : statement.Principal.Federated
      ] == [
      "arn:aws:iam::111122223333:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/A",
      "arn:aws:iam::111122223333:oidc-provider/oidc.eks.us-west-2.amazonaws.com/id/B",
    ]
    error_message = "A model's role cannot be taken in both clusters, or in others."
  }
}

run "gives_each_process_of_the_chart_its_role_in_both_regions" {
  assert {
    condition     = output.chart["us-east-1"].roles == output.chart["us-west-2"].roles
    error_message = "The roles are others in the second region."
  }

  assert {
    condition = toset(jsondecode(module.identity.policies["web"]).Statement[0].Resource) == toset([
      "arn:aws:rds-db:us-east-1:111122223333:dbuser:cluster-A/portal",
      "arn:aws:rds-db:us-west-2:111122223333:dbuser:cluster-B/portal",
    ])
    error_message = "The portal cannot sign in to the database that takes over."
  }
}

run "keeps_one_database_over_both" {
  assert {
    condition     = aws_rds_global_cluster.this.storage_encrypted && aws_rds_global_cluster.this.deletion_protection
    error_message = "The database of both regions is not encrypted, or can be removed by a mistake."
  }
}

run "refuses_a_second_region_that_could_not_take_over" {
  command         = plan
  expect_failures = [var.standby]

  variables {
    standby = {
      region = "us-west-2"
      cidr   = "10.21.0.0/16"
      zones  = ["us-west-2a", "us-west-2b"]
      vcpus  = { g_on_demand = 8 }
    }
  }
}

run "refuses_a_second_region_that_is_the_first" {
  command         = plan
  expect_failures = [var.standby]

  variables {
    standby = {
      region = "us-east-1"
      cidr   = "10.21.0.0/16"
      zones  = ["us-east-1a", "us-east-1b"]
      vcpus  = { g_on_demand = 384 }
    }
  }
}
