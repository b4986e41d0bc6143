/// What a launcher of processes says in the environment: Open MPI's and others' `mpirun`, or SLURM's `srun`.
package struct LaunchEnvironment: Hashable, Sendable {
  /// `mpirun` or `srun`.
  package let launcher: String
  package let rank: Int
  package let size: Int
  /// This process's number on its machine, and how many there are; nil where the launcher does not say.
  package let localRank: Int?
  package let localSize: Int?

  /// nil in a process that no launcher has started.
  ///
  /// A shell inside a SLURM job is no step and has no `SLURM_STEP_NUM_TASKS`, so that `apus train` there is one
  /// process.
  package init?(_ environment: [String: String]) {
    func number(_ names: String...) -> Int? {
      for name in names { if let value = environment[name].flatMap({ Int($0) }) { return value } }
      return nil
    }
    if let rank = number("OMPI_COMM_WORLD_RANK", "PMI_RANK"),
      let size = number("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
    {
      launcher = environment["SLURM_STEP_NUM_TASKS"] == nil ? "mpirun" : "srun"
      self.rank = rank
      self.size = size
      localRank = number("OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID")
      localSize = number("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS")
    } else if let rank = number("SLURM_PROCID"), let size = number("SLURM_STEP_NUM_TASKS") {
      launcher = "srun"
      self.rank = rank
      self.size = size
      localRank = number("SLURM_LOCALID")
      localSize = nil
    } else {
      return nil
    }
  }
}
