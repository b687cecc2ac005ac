output "bucket" {
  value       = aws_s3_bucket.this.bucket
  description = "The bucket's name, once it has versions: replication may begin."
  depends_on  = [aws_s3_bucket_versioning.this]
}

output "arn" {
  value       = aws_s3_bucket.this.arn
  description = "The bucket's address."
}
