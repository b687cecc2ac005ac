variable "name" {
  type        = string
  description = "What everything of this network is called."
}

variable "account_id" {
  type        = string
  description = "The AWS account, 12 digits."
}

variable "region" {
  type        = string
  description = "Where the network is."
}

variable "cidr" {
  type        = string
  description = "The network's addresses, a /16: no other network that it is to reach may have them, the other region's least."

  validation {
    condition     = can(cidrsubnet(var.cidr, 8, 0)) && endswith(var.cidr, "/16")
    error_message = "The network needs a /16: pods have addresses of their own."
  }
}

variable "zones" {
  type        = list(string)
  description = "Its availability zones."

  validation {
    condition     = length(var.zones) >= 2 && length(var.zones) <= 4
    error_message = "Two to four zones: one alone is lost with it, and the plan of addresses has room for four."
  }
}

variable "nat" {
  type        = bool
  description = "Whether the way out is NAT gateways; false where the company's own network has one."
  default     = true
}

variable "cluster_name" {
  type        = string
  description = "The cluster whose nodes Karpenter puts into these subnets."
}

variable "buckets" {
  type        = list(string)
  description = "The buckets that the endpoint of S3 leads to."
}

variable "services" {
  type        = list(string)
  description = "What of AWS is reached inside the network, as its endpoints are called."

  # The portal asks STS, KMS, Service Quotas and, for prices, EC2; Karpenter EC2, EKS, SQS and SSM; nodes ECR; the load
  # balancers' controller ELB; logs go to CloudWatch. IAM and the price list have endpoints in few regions: the way out.
  default = [
    "ec2", "ecr.api", "ecr.dkr", "eks", "elasticloadbalancing", "kms", "logs", "servicequotas", "sqs", "ssm",
    "ssmmessages", "sts",
  ]
}

variable "logs_key_arn" {
  type        = string
  description = "The key that encrypts logs."
}

variable "log_days" {
  type        = number
  description = "For how long flow logs are kept."
  default     = 365
}
