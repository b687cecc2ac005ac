variable "name" {
  type        = string
  description = "What everything is called."
}

variable "account_id" {
  type        = string
  description = "The AWS account, 12 digits."
}

variable "region" {
  type        = string
  description = "The region; the provider's is the same."
}

variable "cidr" {
  type        = string
  description = "The network's addresses, a /16."
}

variable "zones" {
  type        = list(string)
  description = "Its availability zones."
}

variable "nat" {
  type        = bool
  description = "Whether the way out is NAT gateways."
}

variable "more_buckets" {
  type        = list(string)
  description = "Buckets beside the region's own that are asked from inside: the other region's, that of the bills."
}

variable "cluster_name" {
  type        = string
  description = "The cluster's name."
}

variable "kubernetes_version" {
  type        = string
  description = "As 1.35."
}

variable "node_role_arn" {
  type        = string
  description = "The role of every machine."
}

variable "administrator_arns" {
  type        = list(string)
  description = "Roles that may do everything in the cluster."
}

variable "operator_cidrs" {
  type        = list(string)
  description = "Inside networks that the API is asked from."
}

variable "retention_days" {
  type        = object({ registry = number, usage = number, audit = number })
  description = "For how long each bucket locks what is written, by default."
}

variable "global_cluster_id" {
  type        = string
  description = "The database of both regions."
}

variable "follows" {
  type        = bool
  description = "Whether this region's database follows the other's when it is made."
}

variable "owner_password" {
  type        = string
  description = "Password of the tables' owner, of the database that is made first."
  default     = null
  sensitive   = true
  ephemeral   = true
}

variable "owner_password_version" {
  type        = number
  description = "Counted up, the password above is written again."
}

variable "postgres_version" {
  type        = string
  description = "Aurora's version of PostgreSQL."
}

variable "valkey_version" {
  type        = string
  description = "ElastiCache's version of Valkey."
}

variable "cache_passwords" {
  type        = object({ portal = string, ratelimit = string })
  description = "Passwords of Valkey's users."
  sensitive   = true
}

variable "vcpus" {
  type        = map(number)
  description = "Quotas that are asked for, in vCPUs."
}
