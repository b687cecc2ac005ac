mock_provider "aws" {
  mock_resource "aws_eks_cluster" {
    defaults = {
      identity = [{ oidc = [{ issuer = "https://oidc.eks.us-east-1.amazonaws.com/id/A" }] }]
    }
  }

  mock_resource "aws_iam_openid_connect_provider" {
    defaults = { arn = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/A" }
  }
}

variables {
  name               = "quartermaster"
  account_id         = "111122223333"
  region             = "us-east-1"
  cluster_name       = "inference"
  kubernetes_version = "1.35"
  subnet_ids         = ["subnet-1", "subnet-2"]
  secrets_key_arn    = "arn:aws:kms:us-east-1:111122223333:key/secrets"
  logs_key_arn       = "arn:aws:kms:us-east-1:111122223333:key/logs"
  node_role_arn      = "arn:aws:iam::111122223333:role/KarpenterNodeRole-inference"
  administrator_arns = ["arn:aws:iam::111122223333:role/platform"]
}

run "answers_inside_the_network_only" {
  assert {
    condition     = aws_eks_cluster.this.vpc_config[0].endpoint_public_access == false
    error_message = "The API answers the internet."
  }

  assert {
    condition     = aws_eks_cluster.this.vpc_config[0].endpoint_private_access
    error_message = "The API does not answer inside the network."
  }
}

run "encrypts_secrets_and_keeps_its_audit_log" {
  assert {
    condition = (
      toset(aws_eks_cluster.this.encryption_config[0].resources) == toset(["secrets"])
      && aws_eks_cluster.this.encryption_config[0].provider[0].key_arn == var.secrets_key_arn
    )
    error_message = "Secrets are stored as they are."
  }

  assert {
    condition     = toset(aws_eks_cluster.this.enabled_cluster_log_types) == toset(["api", "audit", "authenticator", "controllerManager", "scheduler"])
    error_message = "A log of the cluster is not kept."
  }

  assert {
    condition     = aws_cloudwatch_log_group.this.kms_key_id == var.logs_key_arn && aws_cloudwatch_log_group.this.retention_in_days >= 2192
    error_message = "The audit log is not encrypted by our key, or goes too early."
  }
}

run "lets_in_whom_an_entry_names" {
  assert {
    condition = (
      aws_eks_cluster.this.access_config[0].authentication_mode == "API"
      && aws_eks_cluster.this.access_config[0].bootstrap_cluster_creator_admin_permissions == false
      && keys(aws_eks_access_entry.administrators) == ["arn:aws:iam::111122223333:role/platform"]
    )
    error_message = "Somebody gets in whom no access entry names."
  }
}

run "holds_pods_to_network_policies_and_machines_to_imdsv2" {
  assert {
    condition     = jsondecode(aws_eks_addon.network.configuration_values).enableNetworkPolicy == "true"
    error_message = "Nobody holds pods to network policies."
  }

  assert {
    condition = (
      aws_launch_template.system.metadata_options[0].http_tokens == "required"
      && aws_launch_template.system.metadata_options[0].http_put_response_hop_limit == 1
      && alltrue([for each in aws_launch_template.system.block_device_mappings : tobool(each.ebs[0].encrypted)])
    )
    error_message = "Pods can take the machine's role, or a disk is not encrypted."
  }

  assert {
    condition     = jsondecode(module.network_role.trust).Statement[0].Condition.StringEquals["oidc.eks.us-east-1.amazonaws.com/id/A:sub"] == ["system:serviceaccount:kube-system:aws-node"]
    error_message = "Another pod may take the role of the CNI."
  }
}

run "refuses_to_be_asked_from_the_internet" {
  command         = plan
  expect_failures = [var.operator_cidrs]

  variables {
    operator_cidrs = ["0.0.0.0/0"]
  }
}

run "refuses_to_have_no_administrator" {
  command         = plan
  expect_failures = [var.administrator_arns]

  variables {
    administrator_arns = []
  }
}
