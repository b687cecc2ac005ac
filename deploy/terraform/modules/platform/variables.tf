variable "name" {
  type        = string
  description = "What everything of this environment is called, as quartermaster: at most 21 characters."
  default     = "quartermaster"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,20}$", var.name))
    error_message = "A name has lower-case letters, digits and dashes, and at most 21 of them: buckets and roles begin with it."
  }
}

variable "account_id" {
  type        = string
  description = "The AWS account of this environment, 12 digits."

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "An account has 12 digits."
  }
}

variable "home" {
  type = object({
    region = string
    cidr   = string
    zones  = list(string)
    vcpus  = optional(map(number), {})
  })
  description = "The region that serves: its network's addresses (a /16), its zones, and the quotas that are asked for there."
}

variable "standby" {
  type = object({
    region = string
    cidr   = string
    zones  = list(string)
    vcpus  = optional(map(number), {})
  })
  description = "The region that takes over. Its quotas are as home's: it cannot ask for them on the day it needs them."

  validation {
    condition     = var.standby.region != var.home.region && var.standby.cidr != var.home.cidr
    error_message = "The second region is another one, with other addresses."
  }

  validation {
    condition     = alltrue([for family, vcpus in var.home.vcpus : lookup(var.standby.vcpus, family, 0) >= vcpus])
    error_message = "The second region asks for fewer vCPUs than home has: it could not take over what runs there."
  }
}

variable "nat" {
  type        = bool
  description = "Whether the way to the internet is NAT gateways; false where the company's own network has one."
  default     = true
}

variable "cluster_name" {
  type        = string
  description = "The clusters' name, the same in both regions: deploy/karpenter names it."
  default     = "inference"
}

variable "kubernetes_version" {
  type        = string
  description = "As 1.35."
}

variable "administrator_arns" {
  type        = list(string)
  description = "Roles that may do everything in the clusters: the one that applies this, and that of those who are on call."
}

variable "operator_cidrs" {
  type        = list(string)
  description = "Inside networks that the clusters' APIs are asked from: VPN, the pipeline that applies this."
  default     = []
}

variable "retention_days" {
  type        = object({ registry = number, usage = number, audit = number })
  description = "REGISTRY_RETENTION_DAYS, STATEMENTS_KEPT_YEARS in days, AUDIT_RETENTION_DAYS: a lock that was set is not to be shortened."
  default     = { registry = 365, usage = 2557, audit = 2192 }
}

variable "owner_password" {
  type        = string
  description = "Password of the tables' owner until Vault rotates it: from the environment (TF_VAR_owner_password), never from a file."
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
  description = "Aurora's version of PostgreSQL."
}

variable "valkey_version" {
  type        = string
  description = "ElastiCache's version of Valkey."
}

variable "cache_passwords" {
  type        = object({ portal = string, ratelimit = string })
  description = "Passwords of Valkey's users, 16 letters and more: from the environment (TF_VAR_cache_passwords)."
  sensitive   = true
}

variable "models" {
  type        = set(string)
  description = "The models that lie in Git, reviewed: each gets a role that reads its weights."
}

variable "no_models_yet" {
  type        = bool
  description = "That there are none is right: the platform is new."
  default     = false
}

variable "bills_bucket_arn" {
  type        = string
  description = "The bucket that AWS Data Exports writes bills to (CUR_BUCKET); empty: none is read."
  default     = ""
}

variable "product_keys" {
  type        = bool
  description = "Whether the product signs and wraps with AWS KMS (SIGNER=kms and the like); false where Vault does."
  default     = false
}
