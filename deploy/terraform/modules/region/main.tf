# One region: its keys, network, cluster, stores and buckets. Both regions are made of it; what spans them is the
# platform's.
locals {
  buckets = {
    registry = { retention_days = var.retention_days.registry }
    usage    = { retention_days = var.retention_days.usage }
    audit    = { retention_days = var.retention_days.audit }
    prompts  = { retention_days = null } # each prompt is locked for as long as its rule says
  }
}

module "keys" {
  source     = "../keys"
  name       = var.name
  account_id = var.account_id
  region     = var.region

  keys = {
    registry = { description = "objects of the model registry" }
    usage    = { description = "objects of the archive of usage" }
    audit    = { description = "objects of the audit record's anchor" }
    prompts  = { description = "objects of the prompt record" }
    secrets  = { description = "Secrets of the cluster" }
    database = { description = "the portal's database" }
    cache    = { description = "Valkey" }
    logs     = { description = "logs", used_by = ["logs"] }
    queue    = { description = "Karpenter's queue", used_by = ["events"] }
    trail    = { description = "CloudTrail", used_by = ["trail"] }
  }
}

module "bucket" {
  for_each       = local.buckets
  source         = "../bucket"
  bucket         = "${var.name}-${var.account_id}-${var.region}-${each.key}"
  key_arn        = module.keys.arns[each.key]
  retention_days = each.value.retention_days
}

module "network" {
  source       = "../network"
  name         = var.name
  account_id   = var.account_id
  region       = var.region
  cidr         = var.cidr
  zones        = var.zones
  nat          = var.nat
  cluster_name = var.cluster_name
  buckets      = concat([for bucket in module.bucket : bucket.arn], var.more_buckets)
  logs_key_arn = module.keys.arns["logs"]
}

module "cluster" {
  source             = "../cluster"
  name               = var.name
  account_id         = var.account_id
  region             = var.region
  cluster_name       = var.cluster_name
  kubernetes_version = var.kubernetes_version
  subnet_ids         = module.network.node_subnet_ids
  secrets_key_arn    = module.keys.arns["secrets"]
  logs_key_arn       = module.keys.arns["logs"]
  node_role_arn      = var.node_role_arn
  administrator_arns = var.administrator_arns
  operator_cidrs     = var.operator_cidrs
}

module "karpenter" {
  source        = "../karpenter"
  name          = var.name
  account_id    = var.account_id
  region        = var.region
  cluster_name  = var.cluster_name
  issuer        = module.cluster.issuer
  node_role_arn = var.node_role_arn
  queue_key_arn = module.keys.arns["queue"]
}

module "data" {
  source                   = "../data"
  name                     = var.name
  account_id               = var.account_id
  region                   = var.region
  vpc_id                   = module.network.vpc_id
  subnet_ids               = module.network.data_subnet_ids
  client_security_group_id = module.cluster.security_group_id
  database_key_arn         = module.keys.arns["database"]
  cache_key_arn            = module.keys.arns["cache"]
  global_cluster_id        = var.global_cluster_id
  follows                  = var.follows
  owner_password           = var.owner_password
  owner_password_version   = var.owner_password_version
  postgres_version         = var.postgres_version
  valkey_version           = var.valkey_version
  cache_passwords          = var.cache_passwords
}

module "quotas" {
  source = "../quotas"
  vcpus  = var.vcpus
}
