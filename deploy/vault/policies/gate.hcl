# The gate: it has keys of prompts made, and unwraps those that other gates had made.
path "transit/datakey/plaintext/prompt-record" {
  capabilities = ["update"]
}
path "transit/decrypt/prompt-record" {
  capabilities = ["update"]
}
