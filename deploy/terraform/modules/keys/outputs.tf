output "arns" {
  value       = { for name, key in aws_kms_key.this : name => key.arn }
  description = "The address of each key by its name."
}
