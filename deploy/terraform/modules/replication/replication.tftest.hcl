mock_provider "aws" {}

variables {
  name       = "quartermaster-us-east-1-registry-copies"
  account_id = "111122223333"
  from = {
    bucket  = "example-registry"
    arn     = "arn:aws:s3:::example-registry"
    key_arn = "arn:aws:kms:us-east-1:111122223333:key/registry"
    region  = "us-east-1"
  }
  to = {
    bucket  = "example-registry-2"
    arn     = "arn:aws:s3:::example-registry-2"
    key_arn = "arn:aws:kms:us-west-2:111122223333:key/registry"
    region  = "us-west-2"
  }
}

run "copies_all_encrypted_by_the_other_regions_key" {
  assert {
    condition = alltrue([
      for rule in aws_s3_bucket_replication_configuration.this.rule :
      rule.status == "Enabled"
      && rule.destination[0].bucket == var.to.arn
      && rule.destination[0].encryption_configuration[0].replica_kms_key_id == var.to.key_arn
      && rule.source_selection_criteria[0].sse_kms_encrypted_objects[0].status == "Enabled"
      && rule.destination[0].replication_time[0].status == "Enabled"
    ])
    error_message = "Objects are not copied, or not by the other region's own key, or nobody promises when."
  }
}

run "may_read_one_bucket_and_write_the_other" {
  assert {
    condition = toset(flatten([
      for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : statement.Resource
      ])) == toset([
      var.from.arn, "${var.from.arn}/*", "${var.to.arn}/*", var.from.key_arn, var.to.key_arn,
    ])
    error_message = "The role reaches more than the two buckets and their keys."
  }

  assert {
    condition = jsondecode(aws_iam_role.this.assume_role_policy).Statement[0].Condition == {
      StringEquals = { "aws:SourceAccount" = "111122223333" }
      ArnEquals    = { "aws:SourceArn" = "arn:aws:s3:::example-registry" }
    }
    error_message = "S3 may take the role for another bucket, or somebody else's."
  }
}
