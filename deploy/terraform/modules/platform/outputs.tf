output "chart" {
  description = "What the portal's chart is told, by region; secrets are not among it."
  value = {
    for region, made in local.regions : region => {
      variables = {
        AWS_REGION               = region
        REGISTRY_BUCKET          = made.buckets.registry.bucket
        REGISTRY_KMS_KEY         = made.buckets.registry.key_arn
        USAGE_ARCHIVE_BUCKET     = made.buckets.usage.bucket
        AUDIT_BUCKET             = made.buckets.audit.bucket
        PROMPTS_BUCKET           = made.buckets.prompts.bucket
        REGISTRY_READER_ROLE_ARN = "arn:aws:iam::${var.account_id}:role/${module.readers.rule}"
      }
      roles    = module.identity.role_arns
      database = made.database
      caches   = made.caches
      cidrs    = made.cidrs
    }
  }
}

output "karpenter" {
  description = "What Karpenter's chart is told, by region."
  value       = { for region, made in local.regions : region => made.karpenter }
}

output "reader_role_arns" {
  description = "The role of each model."
  value       = module.readers.role_arns
}

output "product_key_aliases" {
  description = "SIGNING_KMS_KEY, AUDIT_KMS_KEY and PROMPT_KMS_KEY, where the product asks AWS KMS."
  value       = [for keys in module.product_keys : keys.aliases]
}

output "endpoints" {
  description = "Where the clusters' APIs answer, inside their networks."
  value       = { for region, made in local.regions : region => made.endpoint }
}

output "node_route_table_ids" {
  description = "To add the company's routes to, by region."
  value       = { for region, made in local.regions : region => made.node_route_table_ids }
}
