# One environment in one account and two regions: all of one region twice, and what spans both. `home` serves; `standby`
# has everything but what it is too dear to keep running, machines with GPUs, and follows within seconds.
terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = { source = "hashicorp/aws", version = "~> 6.0", configuration_aliases = [aws.home, aws.standby] }
  }
}

locals {
  regions = { (var.home.region) = module.home, (var.standby.region) = module.standby }
  issuers = { for region, made in local.regions : region => made.issuer }
  buckets = {
    for purpose in ["registry", "usage", "audit", "prompts"] : purpose => {
      for region, made in local.regions : region => made.buckets[purpose]
    }
  }
  # as the modules of the regions name them: asked for before they are there
  bucket_arns = {
    for region in [var.home.region, var.standby.region] : region => [
      for purpose in ["registry", "usage", "audit", "prompts"] :
      "arn:aws:s3:::${var.name}-${var.account_id}-${region}-${purpose}"
    ]
  }
  bills = var.bills_bucket_arn == "" ? [] : [var.bills_bucket_arn]
}

# Every machine's role, in both regions: deploy/karpenter/ec2nodeclass.yaml names it, and Git is the same for both.
resource "aws_iam_role" "node" {
  provider    = aws.home
  name        = "KarpenterNodeRole-${var.cluster_name}"
  description = "Machines of ${var.cluster_name}, in both regions."

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ec2.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy_attachment" "node" {
  provider = aws.home
  for_each = toset(["AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly", "AmazonSSMManagedInstanceCore"])

  role       = aws_iam_role.node.name
  policy_arn = "arn:aws:iam::aws:policy/${each.value}"
}

resource "aws_rds_global_cluster" "this" {
  provider                  = aws.home
  global_cluster_identifier = var.name
  engine                    = "aurora-postgresql"
  engine_version            = var.postgres_version
  database_name             = "quartermaster"
  storage_encrypted         = true
  deletion_protection       = true

  lifecycle {
    prevent_destroy = true
  }
}

module "home" {
  source    = "../region"
  providers = { aws = aws.home }

  name                   = var.name
  account_id             = var.account_id
  region                 = var.home.region
  cidr                   = var.home.cidr
  zones                  = var.home.zones
  vcpus                  = var.home.vcpus
  nat                    = var.nat
  more_buckets           = concat(local.bucket_arns[var.standby.region], local.bills)
  cluster_name           = var.cluster_name
  kubernetes_version     = var.kubernetes_version
  node_role_arn          = aws_iam_role.node.arn
  administrator_arns     = var.administrator_arns
  operator_cidrs         = var.operator_cidrs
  retention_days         = var.retention_days
  global_cluster_id      = aws_rds_global_cluster.this.id
  follows                = false
  owner_password         = var.owner_password
  owner_password_version = var.owner_password_version
  postgres_version       = var.postgres_version
  valkey_version         = var.valkey_version
  cache_passwords        = var.cache_passwords
}

module "standby" {
  source    = "../region"
  providers = { aws = aws.standby }

  name                   = var.name
  account_id             = var.account_id
  region                 = var.standby.region
  cidr                   = var.standby.cidr
  zones                  = var.standby.zones
  vcpus                  = var.standby.vcpus
  nat                    = var.nat
  more_buckets           = concat(local.bucket_arns[var.home.region], local.bills)
  cluster_name           = var.cluster_name
  kubernetes_version     = var.kubernetes_version
  node_role_arn          = aws_iam_role.node.arn
  administrator_arns     = var.administrator_arns
  operator_cidrs         = var.operator_cidrs
  retention_days         = var.retention_days
  global_cluster_id      = module.home.database.global_cluster_id # once home's has been made: it is the first to write
  follows                = true
  owner_password_version = var.owner_password_version
  postgres_version       = var.postgres_version
  valkey_version         = var.valkey_version
  cache_passwords        = var.cache_passwords
}

module "copies_there" {
  for_each   = local.buckets
  source     = "../replication"
  providers  = { aws = aws.home }
  name       = "${var.name}-${var.home.region}-${each.key}-copies"
  account_id = var.account_id
  from       = each.value[var.home.region]
  to         = each.value[var.standby.region]
}

module "copies_back" {
  for_each   = local.buckets
  source     = "../replication"
  providers  = { aws = aws.standby }
  name       = "${var.name}-${var.standby.region}-${each.key}-copies"
  account_id = var.account_id
  from       = each.value[var.standby.region]
  to         = each.value[var.home.region]
}

module "readers" {
  source    = "../readers"
  providers = { aws = aws.home }
  name      = var.name
  models    = var.models
  none_yet  = var.no_models_yet
  issuers   = local.issuers
  buckets   = { for region, bucket in local.buckets.registry : region => { arn = bucket.arn, key_arn = bucket.key_arn } }
}

module "identity" {
  source           = "../identity"
  providers        = { aws = aws.home }
  name             = var.name
  issuers          = local.issuers
  bills_bucket_arn = var.bills_bucket_arn

  buckets = {
    for purpose, regions in local.buckets : purpose => {
      for region, bucket in regions : region => { arn = bucket.arn, key_arn = bucket.key_arn }
    }
  }

  databases = [
    for region, made in local.regions :
    "arn:aws:rds-db:${region}:${var.account_id}:dbuser:${made.database.resource_id}"
  ]
}

module "product_keys" {
  count      = var.product_keys ? 1 : 0
  source     = "../product_keys"
  providers  = { aws.home = aws.home, aws.standby = aws.standby }
  name       = var.name
  account_id = var.account_id

  roles = {
    for process in ["web", "gate", "registry", "sealer"] : process => module.identity.role_arns[process]
  }
}

module "trail" {
  source     = "../trail"
  providers  = { aws = aws.home }
  name       = var.name
  account_id = var.account_id
  region     = var.home.region
  bucket     = "${var.name}-${var.account_id}-${var.home.region}-trail"
  key_arn    = module.home.key_arns["trail"]
  buckets    = flatten([for regions in local.buckets : [for bucket in regions : bucket.arn]])
}
