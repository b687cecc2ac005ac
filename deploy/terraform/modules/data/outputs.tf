output "database" {
  description = "Where the database answers; `resource_id` is what rds-db:connect names."
  value = {
    global_cluster_id = aws_rds_cluster.this.global_cluster_identifier

    endpoint    = aws_rds_cluster.this.endpoint
    reader      = aws_rds_cluster.this.reader_endpoint
    resource_id = aws_rds_cluster.this.cluster_resource_id
  }
}

output "caches" {
  value       = { for name, group in aws_elasticache_replication_group.this : name => group.primary_endpoint_address }
  description = "Where Valkey answers, by its user: portal and ratelimit."
}
