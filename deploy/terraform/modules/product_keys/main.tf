# The keys that the product itself signs and wraps with, where AWS KMS does that and not Vault: with the second region's
# replicas, for what was signed or wrapped here must be verified and read there. Who administers them may not use them:
# unlike the stores' keys, no policy of IAM alone lets anybody sign or unwrap.
terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = { source = "hashicorp/aws", version = "~> 6.0", configuration_aliases = [aws.home, aws.standby] }
  }
}

locals {
  keys = {
    model-registry = {
      description = "signs manifests of models"
      spec        = "ECC_NIST_P256"
      usage       = "SIGN_VERIFY"
      uses        = [{ roles = [var.roles.registry], actions = ["kms:GetPublicKey", "kms:Sign", "kms:Verify"] }]
    }
    audit-record = {
      description = "signs checkpoints of the audit record"
      spec        = "ECC_NIST_P256"
      usage       = "SIGN_VERIFY"
      uses        = [{ roles = [var.roles.sealer], actions = ["kms:GetPublicKey", "kms:Sign", "kms:Verify"] }]
    }
    prompt-record = {
      description = "wraps the keys of prompts"
      spec        = "SYMMETRIC_DEFAULT"
      usage       = "ENCRYPT_DECRYPT"
      uses = [
        { roles = [var.roles.gate], actions = ["kms:Decrypt", "kms:GenerateDataKey"] },
        { roles = [var.roles.web], actions = ["kms:Decrypt"] },
      ]
    }
  }
  policies = {
    for name, key in local.keys : name => jsonencode({
      Version = "2012-10-17"
      Statement = concat(
        [{
          Sid       = "AdministersAndDoesNotUse"
          Effect    = "Allow"
          Principal = { AWS = "arn:aws:iam::${var.account_id}:root" }
          Action = [
            "kms:CancelKeyDeletion", "kms:CreateAlias", "kms:DeleteAlias", "kms:DescribeKey", "kms:DisableKey",
            "kms:EnableKey", "kms:EnableKeyRotation", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus",
            "kms:ListAliases", "kms:ListGrants", "kms:ListKeyPolicies", "kms:ListResourceTags", "kms:PutKeyPolicy",
            "kms:ReplicateKey", "kms:ScheduleKeyDeletion", "kms:TagResource", "kms:UntagResource", "kms:UpdateAlias",
            "kms:UpdateKeyDescription", "kms:UpdatePrimaryRegion",
          ]
          Resource = "*"
        }],
        [for use in key.uses : {
          Effect    = "Allow"
          Principal = { AWS = use.roles }
          Action    = use.actions
          Resource  = "*"
        }],
      )
    })
  }
}

resource "aws_kms_key" "home" {
  for_each                 = local.keys
  provider                 = aws.home
  description              = "${var.name}: ${each.value.description}"
  customer_master_key_spec = each.value.spec
  key_usage                = each.value.usage
  multi_region             = true
  enable_key_rotation      = each.value.usage == "ENCRYPT_DECRYPT"
  deletion_window_in_days  = 30
  policy                   = local.policies[each.key]

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_kms_replica_key" "standby" {
  for_each                = local.keys
  provider                = aws.standby
  description             = "${var.name}: ${each.value.description}"
  primary_key_arn         = aws_kms_key.home[each.key].arn
  deletion_window_in_days = 30
  policy                  = local.policies[each.key]

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_kms_alias" "home" {
  for_each      = local.keys
  provider      = aws.home
  name          = "alias/${var.name}/${each.key}"
  target_key_id = aws_kms_key.home[each.key].key_id
}

resource "aws_kms_alias" "standby" {
  for_each      = local.keys
  provider      = aws.standby
  name          = "alias/${var.name}/${each.key}"
  target_key_id = aws_kms_replica_key.standby[each.key].key_id
}
