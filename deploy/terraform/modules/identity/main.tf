# What each of the portal's processes may do in AWS, by the service account that the chart gives it (values: roles). Each
# has what it does and no more: only the gate has data keys of prompts made, only the sealer writes the audit record's
# anchor, only the registry's process signs manifests. No process has a key of its own.
locals {
  accounts = {
    web        = "quartermaster:portal"
    worker     = "quartermaster:worker"
    beat       = "quartermaster:beat"
    observer   = "quartermaster:observer"
    scraper    = "quartermaster:scraper"
    registry   = "quartermaster:registry"
    sealer     = "quartermaster:sealer"
    follower   = "quartermaster:follower"
    migrations = "quartermaster:migrations"
    gate       = "ai-gateway:gate"
  }

  reads = [
    "s3:GetObject", "s3:GetObjectAttributes", "s3:GetObjectLegalHold", "s3:GetObjectRetention",
    "s3:GetObjectTagging", "s3:GetObjectVersion",
  ]
  uploads = ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject", "s3:PutObjectRetention"]
  looks_at = [
    "s3:GetBucketLocation", "s3:GetBucketObjectLockConfiguration", "s3:GetBucketPublicAccessBlock",
    "s3:GetBucketVersioning", "s3:GetEncryptionConfiguration", "s3:GetReplicationConfiguration", "s3:ListBucket",
    "s3:ListBucketMultipartUploads", "s3:ListBucketVersions",
  ]

  # process → bucket → what it does with the objects there
  on_objects = {
    web = {
      registry = concat(local.reads, local.uploads)
      usage    = local.reads
      prompts  = local.reads
      audit    = local.reads
    }
    worker = {
      registry = concat(local.reads, local.uploads)
      usage    = concat(local.reads, local.uploads)
      # prompts go for good once their time is over, which their lock holds until then
      prompts = concat(local.reads, local.uploads, ["s3:DeleteObjectVersion"])
      audit   = local.reads
    }
    registry = {
      registry = concat(local.reads, local.uploads)
    }
    sealer = {
      # checkpoints are written once, and nobody takes them away
      audit = concat(local.reads, ["s3:PutObject", "s3:PutObjectRetention"])
    }
  }
}

# One statement for all that is done alike: IAM counts the letters of a role's policy.
locals {
  used = {
    for process in keys(local.accounts) : process => flatten([
      for purpose, actions in lookup(local.on_objects, process, {}) : [
        for region, bucket in var.buckets[purpose] : {
          purpose = purpose
          arn     = bucket.arn
          key_arn = bucket.key_arn
          service = "s3.${region}.amazonaws.com"
          writes  = contains(actions, "s3:PutObject")
        }
      ]
    ])
  }
  on_buckets = {
    for process, used in local.used : process => concat(
      [for all in [used] : { Effect = "Allow", Action = local.looks_at, Resource = all[*].arn } if length(all) > 0],
      [for purpose, actions in lookup(local.on_objects, process, {}) : {
        Effect   = "Allow"
        Action   = actions
        Resource = [for bucket in used : "${bucket.arn}/*" if bucket.purpose == purpose]
      }],
      [for action, buckets in {
        "kms:Decrypt"         = used
        "kms:GenerateDataKey" = [for bucket in used : bucket if bucket.writes]
        } : {
        Effect   = "Allow"
        Action   = [action]
        Resource = buckets[*].key_arn
        Condition = {
          StringEquals = {
            "kms:ViaService"                   = distinct(buckets[*].service)
            "kms:EncryptionContext:aws:s3:arn" = buckets[*].arn
          }
        }
      } if length(buckets) > 0],
    )
  }
}

module "role" {
  for_each    = local.accounts
  source      = "../account_role"
  name        = "${var.name}-${each.key}"
  description = "The portal's process ${each.key}."
  issuers     = var.issuers
  accounts    = [each.value]

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Effect   = "Allow"
        Action   = ["rds-db:connect"]
        Resource = [for arn in var.databases : "${arn}/${each.key == "migrations" ? "owner" : "portal"}"]
      }],
      local.on_buckets[each.key],
      [for statement in local.worker : statement if each.key == "worker"],
    )
  })
}

# The cloud's bill, machines' prices and the quotas of the other region: what the worker alone asks for.
locals {
  bills = var.bills_bucket_arn == "" ? [] : [
    { Effect = "Allow", Action = ["s3:GetBucketLocation", "s3:ListBucket"], Resource = [var.bills_bucket_arn] },
    { Effect = "Allow", Action = ["s3:GetObject"], Resource = ["${var.bills_bucket_arn}/*"] },
  ]
  worker = concat(local.bills, [
    # none of these knows a resource to be limited to
    { Effect = "Allow", Action = ["pricing:GetProducts"], Resource = "*" },
    { Effect = "Allow", Action = ["ec2:DescribeInstanceTypeOfferings", "ec2:DescribeSpotPriceHistory"], Resource = "*" },
    { Effect = "Allow", Action = ["servicequotas:GetServiceQuota", "servicequotas:ListServiceQuotas"], Resource = "*" },
  ])
}
