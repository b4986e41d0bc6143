/// The hardware descriptions that come with Apus, as the YAML that a user would write.
///
/// Sources are named beside the numbers: DS = the maker's data sheet; WP = the maker's architecture white
/// paper; B5 = the published collective measurement of the domain reference; fit = fitted on published runs
/// (`docs/foresight.md`).
package enum ShippedHardware {
  package static let texts: [String] =
    volta + ampere + hopper + blackwell
}
