mock_provider "aws" {
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::example-registry" }
  }
}

variables {
  bucket         = "example-registry"
  key_arn        = "arn:aws:kms:us-east-1:111122223333:key/registry"
  retention_days = 365
}

run "is_public_to_nobody" {
  assert {
    condition = (
      aws_s3_bucket_public_access_block.this.block_public_acls
      && aws_s3_bucket_public_access_block.this.block_public_policy
      && aws_s3_bucket_public_access_block.this.ignore_public_acls
      && aws_s3_bucket_public_access_block.this.restrict_public_buckets
    )
    error_message = "The bucket can be made public."
  }

  assert {
    condition     = aws_s3_bucket_ownership_controls.this.rule[0].object_ownership == "BucketOwnerEnforced"
    error_message = "Lists of access still count."
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement : statement.Effect == "Deny"
    ])
    error_message = "The bucket's own policy lets somebody in."
  }
}

run "locks_every_version" {
  assert {
    condition     = aws_s3_bucket.this.object_lock_enabled && aws_s3_bucket_versioning.this.versioning_configuration[0].status == "Enabled"
    error_message = "What was written can be overwritten."
  }

  assert {
    condition     = aws_s3_bucket_object_lock_configuration.this[0].rule[0].default_retention[0].mode == "COMPLIANCE"
    error_message = "A lock can be lifted before its time."
  }

  assert {
    condition     = aws_s3_bucket_object_lock_configuration.this[0].rule[0].default_retention[0].days == 365
    error_message = "Objects are locked for another time than was asked."
  }
}

run "encrypts_by_its_own_key" {
  assert {
    condition = alltrue(flatten([
      for rule in aws_s3_bucket_server_side_encryption_configuration.this.rule : [
        rule.bucket_key_enabled,
        rule.apply_server_side_encryption_by_default[0].sse_algorithm == "aws:kms",
        rule.apply_server_side_encryption_by_default[0].kms_master_key_id == var.key_arn,
      ]
    ]))
    error_message = "Objects are not encrypted by the bucket's key of KMS, below a bucket key."
  }

  assert {
    condition = (
      jsondecode(aws_s3_bucket_policy.this.policy).Statement[0].Condition == { Bool = { "aws:SecureTransport" = "false" } }
      && jsondecode(aws_s3_bucket_policy.this.policy).Statement[1].Condition.StringNotEquals
      == { "s3:x-amz-server-side-encryption-aws-kms-key-id" = var.key_arn }
    )
    error_message = "A write without TLS or by another key is not refused."
  }
}

run "leaves_the_time_to_the_product_where_it_knows_it" {
  variables {
    retention_days = null
  }

  assert {
    condition     = length(aws_s3_bucket_object_lock_configuration.this) == 0 && aws_s3_bucket.this.object_lock_enabled
    error_message = "A prompt would be kept longer than its rule says, or could not be locked at all."
  }
}

run "refuses_a_lock_of_no_time" {
  command         = plan
  expect_failures = [var.retention_days]

  variables {
    retention_days = 0
  }
}
