output "role_arn" {
  value       = module.role.arn
  description = "The controller's role, for its chart's serviceAccount.annotations."
}

output "queue" {
  value       = aws_sqs_queue.interruptions.name
  description = "The queue's name, for settings.interruptionQueue of its chart."
}
