extension RunReport {
  /// Memory of one rank, the fullest as a rule, by role.
  package struct Memory: Codable, Hashable, Sendable {
    /// The roles, in the order in which they are stacked.
    package var roles: [RoleBytes]
    /// Memory over one step; may be empty.
    package var overStep: [Point]
    /// What the rank may use at most.
    package var capacityBytes: Int?

    package init(roles: [RoleBytes], overStep: [Point] = [], capacityBytes: Int? = nil) {
      self.roles = roles
      self.overStep = overStep
      self.capacityBytes = capacityBytes
    }
  }

  /// The peak of one role: parameters, gradients, optimizer states, activations, workspace ...
  package struct RoleBytes: Codable, Hashable, Sendable {
    package var role: String
    package var plannedBytes: Int
    /// What the run touched, where it was measured.
    package var measuredBytes: Int?

    package init(role: String, plannedBytes: Int, measuredBytes: Int? = nil) {
      self.role = role
      self.plannedBytes = plannedBytes
      self.measuredBytes = measuredBytes
    }
  }

  /// A moment of a step: after an instruction, a layer or a phase.
  package struct Point: Codable, Hashable, Sendable {
    package var label: String
    /// By role; a role that is missing holds nothing.
    package var bytesByRole: [String: Int]

    package init(label: String, bytesByRole: [String: Int]) {
      self.label = label
      self.bytesByRole = bytesByRole
    }
  }
}
