# The broker of tasks, and the counters of the gateway's token limits: Valkey, over TLS only, each with a user of its
# own. Nothing here is the only copy of anything, so the second region begins with an empty one.
resource "aws_security_group" "cache" {
  name        = "${var.name}-cache"
  description = "Valkey, from the cluster's pods."
  vpc_id      = var.vpc_id
  tags        = { Name = "${var.name}-cache" }
}

resource "aws_vpc_security_group_ingress_rule" "cache" {
  security_group_id            = aws_security_group.cache.id
  description                  = "Valkey, from the cluster's pods"
  referenced_security_group_id = var.client_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 6379
  to_port                      = 6379
}

resource "aws_elasticache_subnet_group" "this" {
  name       = var.name
  subnet_ids = var.subnet_ids
}

resource "aws_elasticache_user" "this" {
  for_each      = local.users
  user_id       = "${var.name}-${each.key}"
  user_name     = each.key
  engine        = "valkey"
  access_string = each.value

  authentication_mode {
    type      = "password"
    passwords = [var.cache_passwords[each.key]]
  }
}

locals {
  users = {
    portal    = "on ~* &* +@all -@admin -@dangerous +info"
    ratelimit = "on ~* -@all +@read +@write +@connection +@transaction +@scripting -@dangerous"
  }
}

resource "aws_elasticache_user_group" "this" {
  for_each      = local.users
  user_group_id = "${var.name}-${each.key}"
  engine        = "valkey"
  user_ids      = [aws_elasticache_user.this[each.key].user_id]
}

resource "aws_elasticache_replication_group" "this" {
  for_each                   = local.users
  replication_group_id       = "${var.name}-${each.key}"
  description                = each.key == "portal" ? "The broker of tasks" : "Counters of token limits"
  engine                     = "valkey"
  engine_version             = var.valkey_version
  node_type                  = var.cache_node_type
  num_cache_clusters         = 2
  automatic_failover_enabled = true
  multi_az_enabled           = true
  port                       = 6379
  subnet_group_name          = aws_elasticache_subnet_group.this.name
  security_group_ids         = [aws_security_group.cache.id]
  user_group_ids             = [aws_elasticache_user_group.this[each.key].user_group_id]
  transit_encryption_enabled = true
  transit_encryption_mode    = "required"
  at_rest_encryption_enabled = true
  kms_key_id                 = var.cache_key_arn
  snapshot_retention_limit   = each.key == "portal" ? 1 : 0
  auto_minor_version_upgrade = true
}
