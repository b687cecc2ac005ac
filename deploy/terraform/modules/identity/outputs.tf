output "role_arns" {
  value       = { for process, role in module.role : process => role.arn }
  description = "For the chart's value `roles`."
}

output "policies" {
  value       = { for process, role in module.role : process => role.policy }
  description = "What each process may do, in IAM's JSON."
}
