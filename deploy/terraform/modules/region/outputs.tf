output "issuer" {
  value       = module.cluster.issuer
  description = "Who signs the tokens of the cluster's service accounts."
}

output "buckets" {
  description = "registry, usage, audit and prompts, with the key that encrypts each."
  value = {
    for purpose, bucket in module.bucket : purpose => {
      bucket  = bucket.bucket
      arn     = bucket.arn
      key_arn = module.keys.arns[purpose]
      region  = var.region
    }
  }
}

output "key_arns" {
  value       = module.keys.arns
  description = "The region's keys by name."
}

output "database" {
  value       = module.data.database
  description = "Where the database answers."
}

output "caches" {
  value       = module.data.caches
  description = "Where Valkey answers."
}

output "cidrs" {
  value       = module.network.cidrs
  description = "Addresses for the chart's network policies."
}

output "karpenter" {
  value       = { role_arn = module.karpenter.role_arn, queue = module.karpenter.queue }
  description = "For Karpenter's chart."
}

output "endpoint" {
  value       = module.cluster.endpoint
  description = "Where the cluster's API answers, inside the network."
}

output "node_route_table_ids" {
  value       = module.network.node_route_table_ids
  description = "To add the company's routes to."
}
