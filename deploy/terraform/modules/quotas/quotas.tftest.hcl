mock_provider "aws" {}

variables {
  vcpus = { g_on_demand = 384, p5_spot = 192 }
}

run "asks_for_what_is_named" {
  assert {
    condition = { for each in aws_servicequotas_service_quota.this : each.quota_code => each.value } == {
      L-DB2E81BA = 384
      L-C4BD4855 = 192
    }
    error_message = "Another quota is asked for, or another value."
  }
}

run "refuses_a_family_that_is_none" {
  command         = plan
  expect_failures = [var.vcpus]

  variables {
    vcpus = { h_on_demand = 1 }
  }
}
