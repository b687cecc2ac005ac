variable "name" {
  type        = string
  description = "What everything of these stores is called."
}

variable "account_id" {
  type        = string
  description = "The AWS account, 12 digits."
}

variable "region" {
  type        = string
  description = "Where the stores are."
}

variable "vpc_id" {
  type        = string
  description = "The network."
}

variable "subnet_ids" {
  type        = list(string)
  description = "The subnets of databases, in two zones at least."
}

variable "client_security_group_id" {
  type        = string
  description = "The group of the cluster's pods: who else asks is not answered."
}

variable "database_key_arn" {
  type        = string
  description = "The key that encrypts the database, its backups and its figures."
}

variable "cache_key_arn" {
  type        = string
  description = "The key that encrypts what Valkey writes to disk."
}

variable "global_cluster_id" {
  type        = string
  description = "The database of both regions that this region's is a part of."
}

variable "follows" {
  type        = bool
  description = "Whether this region's database follows the other's when it is made. Later a failover decides."
}

variable "owner_password" {
  type        = string
  description = "Password of the tables' owner until Vault rotates it; it is written to the database only, not into the state. Of a database that follows, none."
  default     = null
  sensitive   = true
  ephemeral   = true
}

variable "owner_password_version" {
  type        = number
  description = "Counted up, the password above is written again."
  default     = 1
}

variable "postgres_version" {
  type        = string
  description = "Aurora's version of PostgreSQL, as 17.7."
}

variable "instances" {
  type        = number
  description = "Machines of the database: two and more in different zones."
  default     = 2

  validation {
    condition     = var.instances >= 2
    error_message = "One machine alone is lost with its zone."
  }
}

variable "instance_class" {
  type        = string
  description = "Their kind."
  default     = "db.r8g.xlarge"
}

variable "valkey_version" {
  type        = string
  description = "As 8.2."
}

variable "cache_node_type" {
  type        = string
  description = "The kind of Valkey's machines."
  default     = "cache.m7g.large"
}

variable "cache_passwords" {
  type        = object({ portal = string, ratelimit = string })
  description = "Passwords of Valkey's users. ElastiCache takes them in no other way than through the state: keep that encrypted."
  sensitive   = true
}
