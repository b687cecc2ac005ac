# Everything of one bucket, in the other region's within minutes, with its locks, encrypted by the key there. Both ways:
# after a failover what was written there comes back by itself. S3 copies no copy again.
terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = { source = "hashicorp/aws", version = "~> 6.0" }
  }
}

resource "aws_iam_role" "this" {
  name        = var.name
  description = "S3 copies ${var.from.bucket} to ${var.to.bucket}."

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "s3.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = var.account_id }
        ArnEquals    = { "aws:SourceArn" = var.from.arn }
      }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  name = "may"
  role = aws_iam_role.this.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["s3:GetReplicationConfiguration", "s3:ListBucket"]
        Resource = [var.from.arn]
      },
      {
        Effect = "Allow"
        Action = [
          "s3:GetObjectLegalHold", "s3:GetObjectRetention", "s3:GetObjectVersionAcl",
          "s3:GetObjectVersionForReplication", "s3:GetObjectVersionTagging",
        ]
        Resource = ["${var.from.arn}/*"]
      },
      {
        Effect   = "Allow"
        Action   = ["s3:ReplicateDelete", "s3:ReplicateObject", "s3:ReplicateTags"]
        Resource = ["${var.to.arn}/*"]
      },
      {
        Effect   = "Allow"
        Action   = ["kms:Decrypt"]
        Resource = [var.from.key_arn]
        Condition = {
          StringEquals = {
            "kms:ViaService"                   = "s3.${var.from.region}.amazonaws.com"
            "kms:EncryptionContext:aws:s3:arn" = var.from.arn # with a bucket key it is the bucket, not the object
          }
        }
      },
      {
        Effect   = "Allow"
        Action   = ["kms:Encrypt", "kms:GenerateDataKey"]
        Resource = [var.to.key_arn]
        Condition = {
          StringEquals = {
            "kms:ViaService"                   = "s3.${var.to.region}.amazonaws.com"
            "kms:EncryptionContext:aws:s3:arn" = var.to.arn
          }
        }
      },
    ]
  })
}

resource "aws_s3_bucket_replication_configuration" "this" {
  bucket = var.from.bucket
  role   = aws_iam_role.this.arn

  rule {
    id       = "all"
    priority = 1
    status   = "Enabled"
    filter {}

    delete_marker_replication {
      status = "Enabled"
    }

    source_selection_criteria {
      replica_modifications {
        status = "Enabled" # a lock that is set later goes along
      }

      sse_kms_encrypted_objects {
        status = "Enabled"
      }
    }

    destination {
      bucket        = var.to.arn
      storage_class = "STANDARD"

      encryption_configuration {
        replica_kms_key_id = var.to.key_arn
      }

      # within 15 minutes, or there is an event and a figure that says so
      replication_time {
        status = "Enabled"

        time {
          minutes = 15
        }
      }

      metrics {
        status = "Enabled"

        event_threshold {
          minutes = 15
        }
      }
    }
  }
}
