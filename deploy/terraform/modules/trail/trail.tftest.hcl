mock_provider "aws" {}

variables {
  name       = "quartermaster"
  account_id = "111122223333"
  region     = "us-east-1"
  bucket     = "example-trail"
  key_arn    = "arn:aws:kms:us-east-1:111122223333:key/trail"
  buckets    = ["arn:aws:s3:::example-registry", "arn:aws:s3:::example-prompts"]
}

run "tells_of_every_object_of_the_products_buckets" {
  assert {
    condition = toset(flatten([
      for selector in aws_cloudtrail.this.advanced_event_selector : [
        for field in selector.field_selector : field.starts_with if field.field == "resources.ARN"
      ]
    ])) == toset(["arn:aws:s3:::example-registry/", "arn:aws:s3:::example-prompts/"])
    error_message = "What is read in a bucket is told nowhere."
  }

  assert {
    condition = (
      aws_cloudtrail.this.is_multi_region_trail && aws_cloudtrail.this.enable_log_file_validation
      && aws_cloudtrail.this.kms_key_id == var.key_arn
    )
    error_message = "The trail knows one region only, or can be cut unnoticed, or is not encrypted by our key."
  }
}
