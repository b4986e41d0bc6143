import ApusCore

extension Verification {
  /// Relative errors against one rank: of losses and norms the largest over the steps, of tensors the norm of the
  /// difference over the norm, the largest over the tensors.
  package struct Errors: Codable, Hashable, Sendable {
    package var loss = 0.0
    package var gradientNorm = 0.0
    package var gradients = 0.0
    package var weights = 0.0

    package init() {}

    package init(loss: Double, gradientNorm: Double, gradients: Double, weights: Double) {
      self.loss = loss
      self.gradientNorm = gradientNorm
      self.gradients = gradients
      self.weights = weights
    }

    /// The larger of each kind; NaN if either is.
    func worst(_ other: Errors) -> Errors {
      Errors(
        loss: Self.larger(loss, other.loss), gradientNorm: Self.larger(gradientNorm, other.gradientNorm),
        gradients: Self.larger(gradients, other.gradients), weights: Self.larger(weights, other.weights))
    }

    /// The larger of two; NaN if either is.
    static func larger(_ a: Double, _ b: Double) -> Double { a.isNaN || a > b ? a : b }
  }

  /// The largest errors that pass, against one rank of the same precision. `docs/numerics.md` says why. Weights may
  /// differ as gradients may: a bias that starts at zero is nothing but updates.
  package struct Tolerances: Codable, Hashable, Sendable {
    package var loss: Double
    package var gradientNorm: Double
    package var gradients: Double
    package var weights: Double

    /// Of layouts that compute in this precision.
    package static func of(_ precision: PrecisionPolicy) -> Tolerances {
      switch precision.compute {
      case .float16: Tolerances(loss: 1e-3, gradientNorm: 4e-3, gradients: 1e-2, weights: 1e-2)
      case .bfloat16: Tolerances(loss: 8e-3, gradientNorm: 3e-2, gradients: 8e-2, weights: 8e-2)
      default: Tolerances(loss: 1e-5, gradientNorm: 1e-5, gradients: 1e-5, weights: 1e-5)
      }
    }

    /// Whether every error is within its tolerance; NaN is not.
    package func allow(_ errors: Errors) -> Bool {
      errors.loss <= loss && errors.gradientNorm <= gradientNorm && errors.gradients <= gradients
        && errors.weights <= weights
    }
  }

  /// What came out for one layout.
  package struct Outcome: Codable, Hashable, Sendable {
    package var model: String
    package var layout: String
    package var options: String
    package var precision: String
    package var ranks: Int
    package var passed: Bool
    package var errors: Errors
    /// The tensor with the largest error of its gradient, then of its weights.
    package var worstTensors: [String]
    /// Whether a second run of the same layout gave the same bits; nil where there was none.
    package var repeated: Bool?
    /// Whether naive, bucketed and overlapped synchronisation gave the same gradients, bit for bit; nil where
    /// nothing is synchronised, and between processes, where a sum's order depends on the bucket.
    package var synchronisationsAgree: Bool?
    /// Whether calls and bytes were, by axis and primitive and on every rank, those that the program foresees.
    package var communicationIsAsForeseen: Bool
    /// What is wrong beside the errors, if anything.
    package var failure: String?
  }

  /// All layouts of one precision.
  package struct PrecisionReport: Codable, Hashable, Sendable {
    package var precision: String
    package var layouts: Int
    package var passed: Int
    package var worst: Errors
    package var tolerances: Tolerances
  }

  /// The names are those of the JSON keys.
  package struct Report: Codable, Hashable, Sendable {
    package var layouts: Int
    package var passed: Int
    package var failed: Int
    /// Of the layouts in float32, with their tolerances.
    package var worst: Errors
    package var tolerances: Tolerances
    package var precisions: [PrecisionReport]
    /// Pairs of option values that can meet, and those that met among the layouts.
    package var pairs: Int
    package var coveredPairs: Int
    package var transport: String
    package var seconds: Double
    package var cases: [Outcome]

    init(_ outcomes: [Outcome], plan: VerificationPlan, transport: String, seconds: Double) {
      layouts = outcomes.count
      passed = outcomes.count { $0.passed }
      failed = layouts - passed
      precisions = VerificationCase.precisions.compactMap { precision in
        let own = outcomes.filter { $0.precision == precision.name }
        guard !own.isEmpty else { return nil }
        return PrecisionReport(
          precision: precision.name, layouts: own.count, passed: own.count { $0.passed },
          worst: own.reduce(Errors()) { $0.worst($1.errors) }, tolerances: .of(precision))
      }
      worst = precisions.first { $0.precision == PrecisionPolicy.fp32.name }?.worst ?? Errors()
      tolerances = .of(.fp32)
      pairs = plan.pairs
      coveredPairs = plan.coveredPairs
      self.transport = transport
      self.seconds = seconds
      cases = outcomes
    }
  }
}
