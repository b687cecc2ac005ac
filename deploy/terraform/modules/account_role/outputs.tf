output "arn" {
  value       = aws_iam_role.this.arn
  description = "The role's address, for the annotation eks.amazonaws.com/role-arn."
}

output "trust" {
  value       = aws_iam_role.this.assume_role_policy
  description = "Who may take the role, in IAM's JSON."
}

output "policy" {
  value       = aws_iam_role_policy.this.policy
  description = "What the role may do, in IAM's JSON."
}
