"""Trains the model of talk (`lrs2m_builder/checks/talk/`); outside the package, needs scikit-learn."""
