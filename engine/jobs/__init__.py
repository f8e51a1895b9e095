"""Long work (setup, builds, snapshots) as jobs that outlive the view which started them, and their logs the engine."""

from engine.jobs.board import JobBoard as JobBoard
from engine.jobs.board import JobContext as JobContext
