variable "name" {
  type        = string
  description = "What the cluster's own roles begin with."
}

variable "account_id" {
  type        = string
  description = "The AWS account, 12 digits."
}

variable "region" {
  type        = string
  description = "Where the cluster is."
}

variable "cluster_name" {
  type        = string
  description = "The cluster's name: the same in both regions, for what lies in Git names it."
}

variable "kubernetes_version" {
  type        = string
  description = "As 1.35."
}

variable "subnet_ids" {
  type        = list(string)
  description = "The private subnets of nodes and of the API's own addresses."
}

variable "secrets_key_arn" {
  type        = string
  description = "The key that encrypts Secrets before they are stored."
}

variable "logs_key_arn" {
  type        = string
  description = "The key that encrypts logs."
}

variable "log_days" {
  type        = number
  description = "For how long the API's audit log is kept: six years, as 45 CFR 164.316(b)(2) keeps documentation."
  default     = 2192
}

variable "node_role_arn" {
  type        = string
  description = "The role of every machine."
}

variable "administrator_arns" {
  type        = list(string)
  description = "Roles that may do everything in the cluster: the one that applies this, and that of those who are on call."

  validation {
    condition     = length(var.administrator_arns) > 0 && alltrue([for arn in var.administrator_arns : can(regex("^arn:aws:iam::[0-9]{12}:role/", arn))])
    error_message = "Name at least one role by its address: nobody gets in by having made the cluster."
  }
}

variable "operator_cidrs" {
  type        = list(string)
  description = "Inside networks that the API is asked from, beside its own: VPN, the pipeline that applies this."
  default     = []

  validation {
    condition     = alltrue([for cidr in var.operator_cidrs : can(regex("^(10\\.|172\\.(1[6-9]|2[0-9]|3[01])\\.|192\\.168\\.)", cidr))])
    error_message = "The API is asked from inside networks only (RFC 1918)."
  }
}

variable "system_instance_types" {
  type        = list(string)
  description = "Machines of the node group that Karpenter itself runs on."
  default     = ["m7i.xlarge"]
}

variable "addon_versions" {
  type        = map(string)
  description = "Versions of vpc-cni, kube-proxy and coredns; of one that is left out EKS takes its default."
  default     = { vpc-cni = null, kube-proxy = null, coredns = null }
}
