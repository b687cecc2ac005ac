output "aliases" {
  value       = { for name, alias in aws_kms_alias.home : name => alias.name }
  description = "What SIGNING_KMS_KEY, AUDIT_KMS_KEY and PROMPT_KMS_KEY are set to: the same name in both regions."
}
