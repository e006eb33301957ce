select tenant, mode, graduated, confidence_min, calibrated, mask_personal_data from tenant where tenant = $1
