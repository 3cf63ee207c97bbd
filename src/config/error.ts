/** A mistake in what the user wrote. `message` is one sentence: what was wrong, and what to do. Carries no secret. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}
