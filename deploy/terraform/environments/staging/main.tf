# The environment staging: its account, its two regions, and how large it is. What it is made of is modules/platform.
terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = { source = "hashicorp/aws", version = "~> 6.0" }
  }

  # tofu init -backend-config=backend.hcl: bucket, key, region, kms_key_id
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  alias               = "home"
  region              = "us-east-1"
  allowed_account_ids = [var.account_id]

  default_tags {
    tags = { environment = "staging", product = "quartermaster" }
  }
}

provider "aws" {
  alias               = "standby"
  region              = "us-west-2"
  allowed_account_ids = [var.account_id]

  default_tags {
    tags = { environment = "staging", product = "quartermaster" }
  }
}

module "platform" {
  source    = "../../modules/platform"
  providers = { aws.home = aws.home, aws.standby = aws.standby }

  account_id         = var.account_id
  kubernetes_version = "1.35"
  postgres_version   = "17.7"
  valkey_version     = "8.2"
  administrator_arns = var.administrator_arns
  operator_cidrs     = var.operator_cidrs
  owner_password     = var.owner_password
  cache_passwords    = var.cache_passwords
  bills_bucket_arn   = var.bills_bucket_arn
  models             = local.models
  no_models_yet      = var.no_models_yet

  home = {
    region = "us-east-1"
    cidr   = "10.30.0.0/16"
    zones  = ["us-east-1a", "us-east-1b", "us-east-1c"]
    vcpus  = { g_on_demand = 64, g_spot = 64 }
  }

  standby = {
    region = "us-west-2"
    cidr   = "10.31.0.0/16"
    zones  = ["us-west-2a", "us-west-2b", "us-west-2c"]
    vcpus  = { g_on_demand = 64, g_spot = 64 }
  }
}

# The list of models is what lies reviewed in Git: the portal writes an account.yaml for each.
locals {
  models = toset([for file in fileset("${var.gitops}/serving/models", "*/account.yaml") : dirname(file)])
}
