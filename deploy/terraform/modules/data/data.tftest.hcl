mock_provider "aws" {}

variables {
  name                     = "quartermaster"
  account_id               = "111122223333"
  region                   = "us-east-1"
  vpc_id                   = "vpc-1"
  subnet_ids               = ["subnet-1", "subnet-2"]
  client_security_group_id = "sg-pods"
  database_key_arn         = "arn:aws:kms:us-east-1:111122223333:key/database"
  cache_key_arn            = "arn:aws:kms:us-east-1:111122223333:key/cache"
  global_cluster_id        = "quartermaster"
  follows                  = false
  owner_password           = "only-in-this-test"
  postgres_version         = "17.7"
  valkey_version           = "8.2"
  cache_passwords          = { portal = "sixteen-letters-1", ratelimit = "sixteen-letters-2" }
}

run "takes_no_connection_without_tls" {
  assert {
    condition     = [for each in aws_rds_cluster_parameter_group.this.parameter : each.value if each.name == "rds.force_ssl"] == ["1"]
    error_message = "The database takes connections without TLS."
  }

  assert {
    condition = alltrue([
      for group in aws_elasticache_replication_group.this :
      group.transit_encryption_enabled && group.transit_encryption_mode == "required"
    ])
    error_message = "Valkey takes connections without TLS."
  }
}

run "encrypts_what_it_stores_by_our_keys" {
  assert {
    condition     = aws_rds_cluster.this.storage_encrypted && aws_rds_cluster.this.kms_key_id == var.database_key_arn
    error_message = "The database is not encrypted by our key."
  }

  assert {
    condition     = alltrue([for each in aws_rds_cluster_instance.this : each.performance_insights_kms_key_id == var.database_key_arn])
    error_message = "The database's figures are not encrypted by our key."
  }

  assert {
    condition = alltrue([
      for group in aws_elasticache_replication_group.this :
      tobool(group.at_rest_encryption_enabled) && group.kms_key_id == var.cache_key_arn
    ])
    error_message = "Valkey's disk is not encrypted by our key."
  }
}

run "answers_the_clusters_pods_only" {
  assert {
    condition = (
      aws_vpc_security_group_ingress_rule.database.referenced_security_group_id == "sg-pods"
      && aws_vpc_security_group_ingress_rule.cache.referenced_security_group_id == "sg-pods"
      && alltrue([for each in aws_rds_cluster_instance.this : !each.publicly_accessible])
    )
    error_message = "A store answers others than the cluster's pods."
  }
}

run "knows_who_asks" {
  assert {
    condition     = aws_rds_cluster.this.iam_database_authentication_enabled
    error_message = "The database takes no tokens of IAM."
  }

  assert {
    condition = alltrue([
      for name, group in aws_elasticache_replication_group.this : length(group.user_group_ids) == 1
      && aws_elasticache_user_group.this[name].user_ids == toset(["quartermaster-${name}"])
    ])
    error_message = "Valkey lets in whoever has another store's password, or none."
  }
}

run "loses_no_zone_and_no_month" {
  assert {
    condition = (
      length(aws_rds_cluster_instance.this) >= 2 && aws_rds_cluster.this.backup_retention_period == 35
      && aws_rds_cluster.this.deletion_protection && !aws_rds_cluster.this.skip_final_snapshot
      && alltrue([for group in aws_elasticache_replication_group.this : group.multi_az_enabled && group.automatic_failover_enabled])
    )
    error_message = "A zone, or a mistake that is a month old, takes data along."
  }
}

run "follows_without_a_name_or_password_of_its_own" {
  variables {
    follows        = true
    owner_password = null
  }

  assert {
    condition     = aws_rds_cluster.this.global_cluster_identifier == "quartermaster"
    error_message = "The second region's database follows nobody."
  }
}
