output "copies" {
  value       = "${aws_s3_bucket_replication_configuration.this.bucket} to ${var.to.bucket}"
  description = "What is copied where."
}
