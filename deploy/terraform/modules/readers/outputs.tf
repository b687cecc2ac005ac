output "role_arns" {
  value       = { for model, role in module.role : model => role.arn }
  description = "The role of each model."
}

output "policies" {
  value       = { for model in var.models : model => module.role[model].policy }
  description = "What each may do, in IAM's JSON."
}

output "trusts" {
  value       = { for model in var.models : model => module.role[model].trust }
  description = "Who may take each, in IAM's JSON."
}

output "rule" {
  value       = local.rule
  description = "How the roles are called: what REGISTRY_READER_ROLE_ARN ends in."
}
