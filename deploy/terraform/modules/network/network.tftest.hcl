mock_provider "aws" {}

variables {
  name         = "quartermaster"
  account_id   = "111122223333"
  region       = "us-east-1"
  cidr         = "10.20.0.0/16"
  zones        = ["us-east-1a", "us-east-1b", "us-east-1c"]
  cluster_name = "inference"
  buckets      = ["arn:aws:s3:::example-registry", "arn:aws:s3:::example-usage"]
  logs_key_arn = "arn:aws:kms:us-east-1:111122223333:key/logs"
}

run "keeps_nodes_and_databases_private" {
  assert {
    condition = alltrue([
      for subnet in concat(aws_subnet.nodes, aws_subnet.data, aws_subnet.endpoints, aws_subnet.nat) :
      subnet.map_public_ip_on_launch == false
    ])
    error_message = "A machine gets a public address by where it is started."
  }

  assert {
    condition     = length(aws_subnet.nodes) == 3 && length(distinct(aws_subnet.nodes[*].availability_zone)) == 3
    error_message = "Nodes are not spread over all zones."
  }

  assert {
    condition     = alltrue([for route in aws_route.out : route.gateway_id == null || route.gateway_id == ""])
    error_message = "Nodes have a way to the internet that is not through NAT."
  }

  assert {
    condition = length(distinct(concat(
      aws_subnet.nodes[*].cidr_block, aws_subnet.data[*].cidr_block,
      aws_subnet.endpoints[*].cidr_block, aws_subnet.nat[*].cidr_block,
    ))) == 12
    error_message = "Two subnets have the same addresses."
  }

  assert {
    condition     = aws_default_security_group.this.ingress == null || length(aws_default_security_group.this.ingress) == 0
    error_message = "The default group lets something in."
  }
}

run "reaches_aws_inside_the_network" {
  assert {
    condition = alltrue([
      for service in ["ecr.api", "ecr.dkr", "sts", "kms", "logs", "ec2", "eks", "sqs"] :
      contains(keys(aws_vpc_endpoint.interface), service)
    ])
    error_message = "A service that the platform asks has no endpoint in the network."
  }

  assert {
    condition = alltrue([
      for endpoint in aws_vpc_endpoint.interface :
      endpoint.private_dns_enabled && endpoint.vpc_endpoint_type == "Interface"
    ])
    error_message = "An endpoint does not answer by the service's own name."
  }

  assert {
    condition     = aws_vpc_endpoint.s3.vpc_endpoint_type == "Gateway" && aws_vpc_endpoint.s3.route_table_ids == toset(aws_route_table.nodes[*].id)
    error_message = "S3 is not reached through its gateway endpoint from every zone."
  }

  assert {
    condition = toset(jsondecode(aws_vpc_endpoint.s3.policy).Statement[0].Resource) == toset([
      "arn:aws:s3:::example-registry", "arn:aws:s3:::example-registry/*",
      "arn:aws:s3:::example-usage", "arn:aws:s3:::example-usage/*",
    ])
    error_message = "The endpoint of S3 leads to other buckets than ours."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.endpoints.cidr_ipv4 == "10.20.0.0/16"
    error_message = "The endpoints answer others than this network."
  }
}

run "writes_down_who_talked_to_whom" {
  assert {
    condition     = aws_flow_log.this.traffic_type == "ALL" && aws_cloudwatch_log_group.flows.kms_key_id == var.logs_key_arn
    error_message = "Flow logs are not whole, or not encrypted by our key."
  }
}

run "has_no_way_out_of_its_own_where_the_company_has_one" {
  variables {
    nat = false
  }

  assert {
    condition     = length(aws_nat_gateway.this) + length(aws_internet_gateway.this) + length(aws_route.out) == 0
    error_message = "There is a way out beside the company's."
  }
}

run "refuses_a_single_zone" {
  command         = plan
  expect_failures = [var.zones]

  variables {
    zones = ["us-east-1a"]
  }
}

run "refuses_too_few_addresses" {
  command         = plan
  expect_failures = [var.cidr]

  variables {
    cidr = "10.20.0.0/20"
  }
}
