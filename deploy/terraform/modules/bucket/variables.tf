variable "bucket" {
  type        = string
  description = "The bucket's name: nobody else's bucket anywhere may have it."

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "A bucket's name has 3 to 63 lower-case letters, digits and dashes."
  }
}

variable "key_arn" {
  type        = string
  description = "The key that encrypts each object."
}

variable "retention_days" {
  type        = number
  description = "For how long everything is locked, by default; null where each object says it itself."
  default     = null

  validation {
    condition     = var.retention_days == null ? true : var.retention_days >= 1
    error_message = "A lock holds for a day at least."
  }
}

variable "statements" {
  type        = list(any)
  description = "More of the bucket's policy: of a service of AWS that writes there."
  default     = []
}
