select tenant, mode, graduated, confidence_min, calibrated from tenant where tenant = $1
