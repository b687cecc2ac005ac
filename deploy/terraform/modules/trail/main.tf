# Who read and wrote what in the product's buckets, and who changed this account: CloudTrail, of both regions, into a
# locked bucket, with a digest that shows what was taken away.
locals {
  arn = "arn:aws:cloudtrail:${var.region}:${var.account_id}:trail/${var.name}"
}

module "bucket" {
  source         = "../bucket"
  bucket         = var.bucket
  key_arn        = var.key_arn
  retention_days = var.retention_days

  statements = [
    {
      Sid       = "TrailLooks"
      Effect    = "Allow"
      Principal = { Service = "cloudtrail.amazonaws.com" }
      Action    = "s3:GetBucketAcl"
      Resource  = "arn:aws:s3:::${var.bucket}"
      Condition = { StringEquals = { "aws:SourceArn" = local.arn } }
    },
    {
      Sid       = "TrailWrites"
      Effect    = "Allow"
      Principal = { Service = "cloudtrail.amazonaws.com" }
      Action    = "s3:PutObject"
      Resource  = "arn:aws:s3:::${var.bucket}/AWSLogs/${var.account_id}/*"
      Condition = { StringEquals = { "aws:SourceArn" = local.arn } }
    },
  ]
}

resource "aws_cloudtrail" "this" {
  name                          = var.name
  s3_bucket_name                = module.bucket.bucket
  kms_key_id                    = var.key_arn
  is_multi_region_trail         = true
  include_global_service_events = true
  enable_log_file_validation    = true

  advanced_event_selector {
    name = "Changes of the account"

    field_selector {
      field  = "eventCategory"
      equals = ["Management"]
    }
  }

  advanced_event_selector {
    name = "Objects of the product's buckets"

    field_selector {
      field  = "eventCategory"
      equals = ["Data"]
    }

    field_selector {
      field  = "resources.type"
      equals = ["AWS::S3::Object"]
    }

    field_selector {
      field       = "resources.ARN"
      starts_with = [for arn in var.buckets : "${arn}/"]
    }
  }

  depends_on = [module.bucket]
}
