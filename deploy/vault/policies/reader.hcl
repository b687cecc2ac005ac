# The portal: it unwraps the key of a prompt that somebody reads, and nothing else.
path "transit/decrypt/prompt-record" {
  capabilities = ["update"]
}
